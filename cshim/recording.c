/* Reads a recording, and compares with it.
 *
 * The format, which `python -m fastpath trace --save` writes: a first line `# fastpath-recording 1`,
 * then a line for each call: kind, tab, result, tab, path. The result is an errno's name, 0, or after a
 * stat of any kind that succeeded the type's letter: f, d, l, or o for others. In a path tab, newline
 * and backslash are written as in C; all other bytes stand for themselves.
 *
 * It guesses nothing: a line that is not so is an error, and a line without its end a file cut off. */

#define _GNU_SOURCE
#include "recording.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char HEADER[] = "# fastpath-recording 1";
static const char AGAIN[] = "record it again: python -m fastpath trace --save FILE -- COMMAND";

static const char *const KINDS[FP_KINDS] = {"stat",   "lstat",  "statx",    "open",
                                            "openat", "access", "readlink", "getdents"};

/* What a filesystem answers. */
static const struct {
    const char *name;
    int number;
} ERRORS[] = {
#define E(name) {#name, name}
    E(ENOENT),    E(ENOTDIR),    E(EACCES),    E(ELOOP),     E(ENAMETOOLONG), E(EPERM),
    E(EINVAL),    E(EISDIR),     E(EIO),       E(ENXIO),     E(ENODEV),       E(EEXIST),
    E(ENOMEM),    E(EBUSY),      E(ETXTBSY),   E(EROFS),     E(EFBIG),        E(EOVERFLOW),
    E(EMFILE),    E(ENFILE),     E(EINTR),     E(EAGAIN),    E(EBADF),        E(EFAULT),
    E(ENOSYS),    E(EOPNOTSUPP), E(ESTALE),    E(ENOTCONN),  E(ETIMEDOUT),    E(EHOSTDOWN),
    E(EREMOTEIO), E(EREMOTE),    E(EXDEV),     E(ENODATA),   E(EPROTO),       E(ENOLINK),
    E(ENOSPC),    E(EDQUOT),     E(EUCLEAN),   E(ECONNRESET), E(EHOSTUNREACH), E(ENOKEY),
    E(ESHUTDOWN), E(ECONNREFUSED), E(ECONNABORTED), E(EPIPE), E(ECANCELED),   E(EMLINK),
#undef E
};
enum { ERROR_COUNT = sizeof ERRORS / sizeof *ERRORS };

const char *kind_name(enum fp_kind kind) { return KINDS[kind]; }

static bool is_stat(enum fp_kind kind) { return kind <= FP_STATX; }

/* One line on stderr; `line` 0 is the file as a whole. */
__attribute__((format(printf, 3, 4))) static bool
complain(const char *file, size_t line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "replay: %s: ", file);
    if (line)
        fprintf(stderr, "line %zu: ", line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* The whole file with a NUL behind it; NULL and errno where it cannot be read. */
static char *slurp(const char *file, size_t *length) {
    FILE *stream = fopen(file, "rbe");
    if (!stream)
        return NULL;
    size_t room = 1 << 16;
    char *text = malloc(room + 1);
    *length = 0;
    while (text) {
        *length += fread(text + *length, 1, room - *length, stream);
        if (*length < room)
            break;
        char *larger = realloc(text, 2 * room + 1);
        if (!larger)
            free(text);
        text = larger;
        room *= 2;
    }
    int error = text ? (ferror(stream) ? errno : 0) : ENOMEM;
    fclose(stream);
    if (error) {
        free(text);
        errno = error;
        return NULL;
    }
    text[*length] = 0;
    return text;
}

/* Undoes the escapes in place; NULL if all was well, else where it was not. */
static const char *unescape(char *path) {
    char *to = path;
    for (const char *from = path; *from; from++) {
        char c = *from;
        if (c == '\\') {
            c = *++from;
            if (c != 't' && c != 'n' && c != '\\')
                return from - 1;
            c = c == 't' ? '\t' : c == 'n' ? '\n' : '\\';
        }
        *to++ = c;
    }
    *to = 0;
    return NULL;
}

static bool find_kind(const char *name, unsigned char *kind) {
    for (*kind = 0; *kind < FP_KINDS; ++*kind)
        if (strcmp(name, KINDS[*kind]) == 0)
            return true;
    return false;
}

static bool find_result(const char *name, enum fp_kind kind, struct recorded *result) {
    *result = (struct recorded){0};
    if (strcmp(name, "0") == 0)
        return true;
    if (is_stat(kind) && name[0] && !name[1] && strchr("fdlo", name[0])) {
        result->type = name[0];
        return true;
    }
    for (size_t i = 0; i < ERROR_COUNT; i++)
        if (strcmp(name, ERRORS[i].name) == 0) {
            result->error = ERRORS[i].number;
            return true;
        }
    return false;
}

/* One line, its newline already a NUL. */
static bool read_line(const char *file, size_t number, char *line, struct recording *to) {
    size_t at = to->calls.count;
    char *result = strchr(line, '\t');
    char *path = result ? strchr(result + 1, '\t') : NULL;
    if (!path || strchr(path + 1, '\t'))
        return complain(file, number, "not kind, tab, result, tab, path; correct it, or %s", AGAIN);
    *result++ = 0;
    *path++ = 0;
    if (!find_kind(line, &to->kinds[at]))
        return complain(file, number,
                        "unknown kind `%s`; write stat, lstat, statx, open, openat, access, "
                        "readlink or getdents",
                        line);
    if (!find_result(result, to->kinds[at], &to->results[at]))
        return complain(file, number,
                        "unknown result `%s` of %s; write 0, an errno's name as in ENOENT%s", result,
                        line, is_stat(to->kinds[at]) ? ", or a type: f, d, l or o" : "");
    const char *wrong = unescape(path);
    if (wrong)
        return complain(file, number, "`%.2s` in the path; write \\t, \\n or \\\\", wrong);
    to->paths[at] = path;
    to->calls.count++;
    return true;
}

static bool read_lines(const char *file, char *text, size_t length, struct recording *to) {
    size_t number = 1;
    for (char *line = text, *end; line < text + length; line = end + 1, number++) {
        end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end)
            return complain(file, number, "cut off; %s", AGAIN);
        if (memchr(line, 0, (size_t)(end - line)))
            return complain(file, number, "a NUL, which no path has; %s", AGAIN);
        *end = 0;
        if (number > 1 && !read_line(file, number, line, to))
            return false;
    }
    if (to->calls.count == 0)
        return complain(file, 0, "no call in it; %s", AGAIN);
    return true;
}

static bool make_room(const char *text, size_t length, struct recording *to) {
    size_t lines = 1;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    to->paths = calloc(lines, sizeof *to->paths);
    to->kinds = calloc(lines, sizeof *to->kinds);
    to->results = calloc(lines, sizeof *to->results);
    to->calls.paths = to->paths;
    to->calls.kinds = to->kinds;
    return to->paths && to->kinds && to->results;
}

bool read_recording(const char *file, struct recording *to) {
    *to = (struct recording){0};
    size_t length;
    to->text = slurp(file, &length);
    if (!to->text)
        return complain(file, 0, "%s", strerror(errno));
    size_t header = sizeof HEADER - 1;
    if (strncmp(to->text, HEADER, header) != 0 ||
        (to->text[header] != '\n' && to->text[header] != 0)) {
        free_recording(to);
        return complain(file, 1, "no recording: it does not begin with `%s`; %s", HEADER, AGAIN);
    }
    bool good = make_room(to->text, length, to) ? read_lines(file, to->text, length, to)
                                                : complain(file, 0, "%s", strerror(ENOMEM));
    if (!good)
        free_recording(to);
    return good;
}

void free_recording(struct recording *recording) {
    free(recording->text);
    free(recording->paths);
    free(recording->kinds);
    free(recording->results);
    *recording = (struct recording){0};
}

static char type_letter(uint32_t mode) {
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 'f';
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    default:
        return 'o';
    }
}

static const char *result_name(int32_t error, char type, char *room) {
    for (size_t i = 0; i < ERROR_COUNT; i++)
        if (error == ERRORS[i].number)
            return ERRORS[i].name;
    if (error)
        snprintf(room, 16, "errno %d", (int)error);
    else
        snprintf(room, 16, "%c", type ? type : '0');
    return room;
}

const char *fact_name(enum fp_kind kind, const struct fp_fact *fact, char *room) {
    return result_name(fact->error, is_stat(kind) ? type_letter(fact->mode) : 0, room);
}

const char *recorded_name(const struct recorded *recorded, char *room) {
    return result_name(recorded->error, recorded->type, room);
}

bool is_as_recorded(enum fp_kind kind, const struct recorded *recorded,
                    const struct fp_fact *fact) {
    if (recorded->error != fact->error)
        return false;
    return !is_stat(kind) || !recorded->type || recorded->type == type_letter(fact->mode);
}
