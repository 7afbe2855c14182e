/* Asks about names in directories, or lists directories, on threads that start together.
 *
 *   ask hit|miss|list ROOT DIRECTORIES NAMES THREADS OPERATIONS REPEAT SALT WARM
 *
 * ROOT has DIRECTORIES directories (d00, d01, ...) with NAMES regular files each (m000000.py, ...).
 * Thread t works in directory t modulo DIRECTORIES: with one directory all work in the same. A
 * `hit` is a stat(2) of a name that is there, a `miss` of one that is not (its number and SALT: a
 * new SALT makes names that were never asked for), a `list` opens a directory and reads it to its
 * end. OPERATIONS are shared out, each about another name as long as there are names (which lie
 * apart), and done REPEAT times over; where WARM is 1, once more before it counts.
 *
 * Prints JSON: wall-clock nanoseconds from the start to the end of the last thread, CPU
 * nanoseconds of the threads, and how often they slept (getrusage(2), voluntary switches). A single
 * result that is not as expected ends it, exit code 1. It refuses to interpret what it measures,
 * and to make the directories: see measure.py.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A prime, so that names asked for one after another lie apart: in inode tables, too. */
enum { STEP = 7919, MOST_THREADS = 256 };

enum what { HIT, MISS, LIST };

static enum what what;
static const char *root;
static const char *salt;
static long directories, names, threads, operations, repeat, warm;
static pthread_barrier_t start;

struct worker {
    long number;
    uint64_t end, cpu;
    long sleeps;
};

static uint64_t clock_ns(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wrong(const char *path, const char *how) {
    fprintf(stderr, "ask: %s: %s\n", path, how);
    exit(1);
}

static void one_stat(const char *directory, long operation) {
    char path[4096];
    struct stat found;
    if (what == HIT) {
        snprintf(path, sizeof path, "%s/m%06ld.py", directory, operation * STEP % names);
        if (stat(path, &found) != 0)
            wrong(path, strerror(errno));
        if (!S_ISREG(found.st_mode))
            wrong(path, "not a regular file");
    } else {
        snprintf(path, sizeof path, "%s/x%06ld%s.py", directory, operation, salt);
        if (stat(path, &found) == 0)
            wrong(path, "is there");
        if (errno != ENOENT)
            wrong(path, strerror(errno));
    }
}

/* With a buffer of the size that readdir(3) of glibc has. */
static void one_listing(const char *directory) {
    char buffer[32768];
    long seen = 0, got;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        wrong(directory, strerror(errno));
    while ((got = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < got;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            at += entry->d_reclen;
            if (entry->d_name[0] == '.')
                continue;
            if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN)
                wrong(entry->d_name, "listed as another type");
            seen++;
        }
    }
    if (got < 0)
        wrong(directory, strerror(errno));
    if (seen != names)
        wrong(directory, "not as many names as there are");
    close(fd);
}

static void share(const struct worker *worker, const char *directory) {
    long first = operations * worker->number / threads;
    long end = operations * (worker->number + 1) / threads;
    for (long operation = first; operation < end; operation++) {
        if (what == LIST)
            one_listing(directory);
        else
            one_stat(directory, operation);
    }
}

static void *work(void *argument) {
    struct worker *worker = argument;
    char directory[3072];
    struct stat found;
    struct rusage before, after;
    snprintf(directory, sizeof directory, "%s/d%02ld", root, worker->number % directories);
    /* The way to the directory is nothing that is measured. */
    if (stat(directory, &found) != 0)
        wrong(directory, strerror(errno));
    if (warm)
        share(worker, directory);
    /* Everybody is ready; then everybody may begin. */
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&start);
    getrusage(RUSAGE_THREAD, &before);
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (long time = 0; time < repeat; time++)
        share(worker, directory);
    worker->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    worker->end = clock_ns(CLOCK_MONOTONIC);
    getrusage(RUSAGE_THREAD, &after);
    worker->sleeps = after.ru_nvcsw - before.ru_nvcsw;
    return NULL;
}

static long number(const char *text, long least) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < least)
        wrong(text, "no such number here");
    return value;
}

int main(int count, char **arguments) {
    static const char *const whats[] = {"hit", "miss", "list"};
    struct worker workers[MOST_THREADS] = {0};
    pthread_t ids[MOST_THREADS];
    if (count != 10)
        wrong("usage", "ask hit|miss|list ROOT DIRECTORIES NAMES THREADS OPERATIONS REPEAT SALT WARM");
    while (what <= LIST && strcmp(arguments[1], whats[what]) != 0)
        what++;
    if (what > LIST)
        wrong(arguments[1], "not hit, miss or list");
    root = arguments[2];
    directories = number(arguments[3], 1);
    names = number(arguments[4], 1);
    threads = number(arguments[5], 1);
    operations = number(arguments[6], 1);
    repeat = number(arguments[7], 1);
    salt = arguments[8];
    warm = number(arguments[9], 0);
    if (threads > MOST_THREADS)
        wrong(arguments[5], "too many threads");

    pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
    for (long n = 0; n < threads; n++) {
        workers[n].number = n;
        if (pthread_create(&ids[n], NULL, work, &workers[n]) != 0)
            wrong("pthread_create", "no thread");
    }
    pthread_barrier_wait(&start);
    /* Read before anybody is let go: who reads it late would miss what was done meanwhile. */
    uint64_t begin = clock_ns(CLOCK_MONOTONIC), end = begin, cpu = 0;
    long sleeps = 0;
    pthread_barrier_wait(&start);
    for (long n = 0; n < threads; n++) {
        pthread_join(ids[n], NULL);
        end = workers[n].end > end ? workers[n].end : end;
        cpu += workers[n].cpu;
        sleeps += workers[n].sleeps;
    }
    printf("{\"wall_ns\": %llu, \"cpu_ns\": %llu, \"sleeps\": %ld}\n",
           (unsigned long long)(end - begin), (unsigned long long)cpu, sleeps);
    return 0;
}
