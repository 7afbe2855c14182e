/* Has the kernel read all of our code together where it is not in memory yet, before any of it runs.
 *
 * Else every part is read when something in it is first run, 128 KB at a time, and waited for. Where it is in memory, as for every
 * interpreter but the first one on a machine, this is one system call that says so; and where somebody else owns the file, mincore(2)
 * tells nobody, and nothing is done. Compiled by build.rs.
 */

#define _DEFAULT_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* As much as the kernel reads ahead for one call on most filesystems; more it leaves out. */
#define CHUNK ((uintptr_t)128 << 10)

/* Set by the linker: where our image begins, and where its code ends. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

__attribute__((constructor)) static void prefetch(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)__ehdr_start & ~(page - 1), last = ((uintptr_t)etext - 1) & ~(page - 1);
    /* In the middle: what lies at either end has been read along with what the dynamic loader needs. */
    uintptr_t middle = (first + (last - first) / 2) & ~(page - 1);
    unsigned char known = 1;
    if (mincore((void *)middle, page, &known) != 0 || (known & 1))
        return;
    for (uintptr_t at = first; at <= last; at += CHUNK)
        madvise((void *)at, CHUNK, MADV_WILLNEED);
}
