/* SPDX-License-Identifier: MIT */
/* What we ask of the compiler: gcc 12 and clang 14. */
#ifndef BHI_BASE_COMPILER_H
#define BHI_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define bhi_likely(x)   __builtin_expect(!!(x), 1)
#define bhi_unlikely(x) __builtin_expect(!!(x), 0)

#define BHI_API        __attribute__((visibility("default")))
#define BHI_COLD       __attribute__((cold, noinline))
#define BHI_NOINLINE   __attribute__((noinline))
#define BHI_CACHE_LINE 64
#define BHI_ALIGNED(n) __attribute__((aligned(n)))

#define BHI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define bhi_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define bhi_array_size(a) (sizeof(a) / sizeof((a)[0]))

#define bhi_min(a, b)                              \
	({                                         \
		__typeof__(a) min_a_ = (a);        \
		__typeof__(b) min_b_ = (b);        \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define bhi_max(a, b)                              \
	({                                         \
		__typeof__(a) max_a_ = (a);        \
		__typeof__(b) max_b_ = (b);        \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/*
 * Words that several threads read and write. Plain names for the few orders in use, so
 * that a line with a stronger one stands out.
 */
#define bhi_load(p)             __atomic_load_n((p), __ATOMIC_RELAXED)
#define bhi_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define bhi_store(p, v)         __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define bhi_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define bhi_add_return(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define bhi_sub_return(p, v)    __atomic_sub_fetch((p), (v), __ATOMIC_SEQ_CST)
#define bhi_add(p, v)           ((void)__atomic_fetch_add((p), (v), __ATOMIC_RELAXED))
#define bhi_sub(p, v)           ((void)__atomic_fetch_sub((p), (v), __ATOMIC_RELAXED))
#define bhi_exchange(p, v)      __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define bhi_fence()             __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define bhi_compiler_fence()    __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define bhi_compare_exchange(p, expected, v) \
	__atomic_compare_exchange_n(         \
		(p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)

/* Per-thread words on hot paths; the library is linked or loaded early, never late. */
#define BHI_TLS __thread __attribute__((tls_model("initial-exec")))

#endif
