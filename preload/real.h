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
#include <sys/mman.h>
#include <unistd.h>

/*
 * X(name, version of the symbol, or NULL for the default one). Those of the first list
 * are found at the start: most programs call them, and looking them up takes the loader's
 * lock, which another thread may hold while it waits for the lock that is about to be
 * released here. Those of the second one are rare, and found when they are called.
 */
#define BHI_REAL_EAGER(X)                   \
	X(malloc, NULL)                     \
	X(calloc, NULL)                     \
	X(realloc, NULL)                    \
	X(posix_memalign, NULL)             \
	X(free, NULL)                       \
	X(malloc_usable_size, NULL)         \
	X(sigaction, NULL)                  \
	X(sigaltstack, NULL)                \
	X(pthread_create, NULL)             \
	X(pthread_mutex_lock, NULL)         \
	X(pthread_mutex_trylock, NULL)      \
	X(pthread_mutex_unlock, NULL)       \
	X(pthread_cond_wait, BHI_COND)      \
	X(pthread_cond_timedwait, BHI_COND) \
	X(pthread_rwlock_rdlock, NULL)      \
	X(pthread_rwlock_wrlock, NULL)      \
	X(pthread_rwlock_unlock, NULL)      \
	X(mmap, NULL)                       \
	X(mremap, NULL)                     \
	X(brk, NULL)                        \
	X(sbrk, NULL)                       \
	X(_exit, NULL)

#define BHI_REAL_LAZY(X)                    \
	X(aligned_alloc, NULL)              \
	X(memalign, NULL)                   \
	X(valloc, NULL)                     \
	X(pvalloc, NULL)                    \
	X(signal, NULL)                     \
	X(pthread_mutex_timedlock, NULL)    \
	X(pthread_mutex_clocklock, NULL)    \
	X(pthread_cond_clockwait, NULL)     \
	X(pthread_rwlock_tryrdlock, NULL)   \
	X(pthread_rwlock_timedrdlock, NULL) \
	X(pthread_rwlock_clockrdlock, NULL) \
	X(pthread_rwlock_trywrlock, NULL)   \
	X(pthread_rwlock_timedwrlock, NULL) \
	X(pthread_rwlock_clockwrlock, NULL) \
	X(execve, NULL)                     \
	X(execvpe, NULL)                    \
	X(fexecve, NULL)                    \
	X(posix_spawn, NULL)                \
	X(posix_spawnp, NULL)               \
	X(dlclose, NULL)                    \
	X(quick_exit, NULL)

/* The older versions of these have another layout of pthread_cond_t. */
#ifdef __x86_64__
#define BHI_COND "GLIBC_2.3.2"
#else
#define BHI_COND NULL
#endif

#define BHI_REAL_FIELD(name, version) __typeof__(name) *name;
struct bhi_real {
	/* immutable once .malloc is set, which is last */
	BHI_REAL_EAGER(BHI_REAL_FIELD)
	/* atomic, see bhi_real_lazy() */
	BHI_REAL_LAZY(BHI_REAL_FIELD)
};
#undef BHI_REAL_FIELD

extern struct bhi_real bhi_real;

/* Find those of the first list. */
void bhi_real_resolve(void);

/* One of the second list. */
#define bhi_real_lazy(name)                                                \
	({                                                                 \
		__typeof__(name) *function_ =                              \
			__atomic_load_n(&bhi_real.name, __ATOMIC_ACQUIRE); \
                                                                           \
		if (!function_)                                            \
			bhi_real_find((void **)&bhi_real.name, #name);     \
		bhi_real.name;                                             \
	})
void bhi_real_find(void **place, const char *name);

/* From the static heap; NULL when it is used up. Zeroed. Signal-safe. */
void *bhi_boot_alloc(size_t align, size_t size);
bool bhi_boot_owns(const void *p);
size_t bhi_boot_size(const void *p);

#endif
