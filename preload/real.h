/* SPDX-License-Identifier: MIT */
/*
 * The functions behind ours: the next definition of each name after this object, which
 * may be the C library's, or that of an allocator the program brought.
 *
 * Until they are known (the loader allocates before anything runs, and the look-up may
 * allocate) requests are served from a small static heap. Its blocks are never reused;
 * they are told by their address for as long as the process lives.
 */
#ifndef BHI_PRELOAD_REAL_H
#define BHI_PRELOAD_REAL_H

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* X(name, version of the symbol, or NULL for the default one) */
#define BHI_REAL_FUNCTIONS(X)               \
	X(malloc, NULL)                     \
	X(calloc, NULL)                     \
	X(realloc, NULL)                    \
	X(posix_memalign, NULL)             \
	X(aligned_alloc, NULL)              \
	X(memalign, NULL)                   \
	X(valloc, NULL)                     \
	X(pvalloc, NULL)                    \
	X(free, NULL)                       \
	X(malloc_usable_size, NULL)         \
	X(sigaction, NULL)                  \
	X(sigaltstack, NULL)                \
	X(signal, NULL)                     \
	X(pthread_create, NULL)             \
	X(pthread_mutex_lock, NULL)         \
	X(pthread_mutex_trylock, NULL)      \
	X(pthread_mutex_timedlock, NULL)    \
	X(pthread_mutex_clocklock, NULL)    \
	X(pthread_mutex_unlock, NULL)       \
	X(pthread_cond_wait, BHI_COND)      \
	X(pthread_cond_timedwait, BHI_COND) \
	X(pthread_cond_clockwait, NULL)     \
	X(pthread_rwlock_rdlock, NULL)      \
	X(pthread_rwlock_tryrdlock, NULL)   \
	X(pthread_rwlock_timedrdlock, NULL) \
	X(pthread_rwlock_clockrdlock, NULL) \
	X(pthread_rwlock_wrlock, NULL)      \
	X(pthread_rwlock_trywrlock, NULL)   \
	X(pthread_rwlock_timedwrlock, NULL) \
	X(pthread_rwlock_clockwrlock, NULL) \
	X(pthread_rwlock_unlock, NULL)      \
	X(execve, NULL)                     \
	X(execvpe, NULL)                    \
	X(fexecve, NULL)                    \
	X(posix_spawn, NULL)                \
	X(posix_spawnp, NULL)               \
	X(dlclose, NULL)                    \
	X(_exit, NULL)                      \
	X(quick_exit, NULL)

/* The older versions of these have another layout of pthread_cond_t. */
#ifdef __x86_64__
#define BHI_COND "GLIBC_2.3.2"
#else
#define BHI_COND NULL
#endif

#define BHI_REAL_FIELD(name, version) __typeof__(name) *name;
struct bhi_real {
	BHI_REAL_FUNCTIONS(BHI_REAL_FIELD)
};
#undef BHI_REAL_FIELD

/* Immutable once .malloc is set, which is last. */
extern struct bhi_real bhi_real;

/* Find them all. */
void bhi_real_resolve(void);

/* From the static heap; NULL when it is used up. Zeroed. Signal-safe. */
void *bhi_boot_alloc(size_t align, size_t size);
bool bhi_boot_owns(const void *p);
size_t bhi_boot_size(const void *p);

#endif
