/* The unwinder's functions that Rust calls: each is that of libgcc_s.so.1, which is loaded when the first one is called.
 *
 * That is when something panics, and when a thread ends in the midst of us by pthread_exit, as CPython before 3.14 ends
 * threads that want its lock back while it finalizes. It must be the very library that glibc unwinds such a thread with: it
 * hands us frames in a layout of its own, and a copy linked into us, which has never been started, aborts over them.
 * Compiled by build.rs, which says what this spares.
 */

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether something has ever panicked in this thread. */
static __thread int has_raised;

static void *find(void **known, const char *name)
{
    void *function = __atomic_load_n(known, __ATOMIC_ACQUIRE);
    if (!function) {
        /* Never closed. Without it nothing can be unwound: glibc aborts likewise. */
        void *library = dlopen("libgcc_s.so.1", RTLD_LAZY | RTLD_LOCAL);
        function = library ? dlsym(library, name) : NULL;
        if (!function)
            abort();
        __atomic_store_n(known, function, __ATOMIC_RELEASE);
    }
    return function;
}

/* As declared in unwind.h; nobody here looks into a context or an exception. */
#define FORWARD(result, name, parameters, arguments)                                                                   \
    __attribute__((visibility("hidden"))) result name parameters                                                       \
    {                                                                                                                  \
        static void *known;                                                                                            \
        return ((result(*) parameters)find(&known, #name)) arguments;                                                  \
    }

/* Under names of our own, as there is more to them. */
#define FORWARD_AS(ours, result, name, parameters, arguments)                                                          \
    static result ours parameters                                                                                      \
    {                                                                                                                  \
        static void *known;                                                                                            \
        return ((result(*) parameters)find(&known, #name)) arguments;                                                  \
    }

FORWARD_AS(raise_exception, int, _Unwind_RaiseException, (void *exception), (exception))
FORWARD_AS(language_data, void *, _Unwind_GetLanguageSpecificData, (void *context), (context))

__attribute__((visibility("hidden"))) int _Unwind_RaiseException(void *exception)
{
    has_raised = 1;
    return raise_exception(exception);
}

/* What is asked first of every frame of Rust. A thread in which nothing has panicked is one that is being ended. From where Rust has called
 * what cannot panic, such as most of the C API, that cannot go on, and the process is aborted; from elsewhere it would drop
 * Python's objects without the lock. So the thread stays where it is, as CPython itself has it from 3.14 on. */
__attribute__((visibility("hidden"))) void *_Unwind_GetLanguageSpecificData(void *context)
{
    while (!has_raised)
        pause();
    return language_data(context);
}

FORWARD(void, _Unwind_Resume, (void *exception), (exception))
FORWARD(void, _Unwind_DeleteException, (void *exception), (exception))
FORWARD(int, _Unwind_Backtrace, (void *each, void *argument), (each, argument))
FORWARD(void *, _Unwind_FindEnclosingFunction, (void *pc), (pc))
FORWARD(uintptr_t, _Unwind_GetCFA, (void *context), (context))
FORWARD(uintptr_t, _Unwind_GetDataRelBase, (void *context), (context))
FORWARD(uintptr_t, _Unwind_GetTextRelBase, (void *context), (context))
FORWARD(uintptr_t, _Unwind_GetGR, (void *context, int index), (context, index))
FORWARD(void, _Unwind_SetGR, (void *context, int index, uintptr_t value), (context, index, value))
FORWARD(uintptr_t, _Unwind_GetIP, (void *context), (context))
FORWARD(uintptr_t, _Unwind_GetIPInfo, (void *context, int *before), (context, before))
FORWARD(void, _Unwind_SetIP, (void *context, uintptr_t value), (context, value))
FORWARD(uintptr_t, _Unwind_GetRegionStart, (void *context), (context))
