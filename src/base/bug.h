/* SPDX-License-Identifier: MIT */
/*
 * Checks, in four tiers.
 *
 * BUG_ON: always on; our own state is corrupt and going on would spread it: one line on
 * standard error, abort. WARN_ONCE: always on; the state was repaired (a counter clamped)
 * and the process goes on. bh_assert: debug builds. bh_assert_slow: debug builds, for
 * walks over whole structures. A mistake of a caller is none of these: it returns
 * -EINVAL.
 */
#ifndef BHI_BASE_BUG_H
#define BHI_BASE_BUG_H

#include "base/compiler.h"

#ifndef BH_DEBUG
#define BH_DEBUG 0
#endif

/* Context: signal-safe. Writes one line and aborts. */
__attribute__((noreturn)) BHI_COLD void bhi_bug(
	const char *file, int line, const char *what);

/* Context: signal-safe. Writes one line, if nobody has to be waited for that reads it. */
BHI_COLD void bhi_warn(const char *file, int line, const char *what);

/* Context: any, no allocation. The number of WARN_ONCE lines written so far. */
unsigned bhi_warn_count(void);

/* Context: any, no allocation. How often memory was misused, shown or not. */
unsigned bhi_misuse_count(void);

/*
 * Context: signal-safe. A caller's misuse of memory: one line naming what was done,
 * @ptr, the place @where of this call and the place @before of the earlier one (NULL:
 * unknown). A debug build aborts; a release build goes on, and shows the first hundred.
 */
BHI_COLD void bhi_misuse(
	const char *what, const void *ptr, const void *where, const void *before);

#define BUG_ON(cond)                                        \
	do {                                                \
		if (bhi_unlikely(cond))                     \
			bhi_bug(__FILE__, __LINE__, #cond); \
	} while (0)

#define WARN_ONCE(cond, what)                                     \
	({                                                        \
		static bool warned_;                              \
		bool cond_ = (cond);                              \
		if (bhi_unlikely(cond_) && !bhi_load(&warned_)) { \
			bhi_store(&warned_, true);                \
			bhi_warn(__FILE__, __LINE__, what);       \
		}                                                 \
		cond_;                                            \
	})

#if BH_DEBUG
#define bh_assert(cond)      BUG_ON(!(cond))
#define bh_assert_slow(cond) BUG_ON(!(cond))
#else
#define bh_assert(cond)      ((void)sizeof(!(cond)))
#define bh_assert_slow(cond) ((void)sizeof(!(cond)))
#endif

#endif
