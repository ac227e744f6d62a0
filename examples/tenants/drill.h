/* SPDX-License-Identifier: MIT */
/*
 * A drill: a thread of the host holds the cache lock for a while, so that scripts that
 * want the cache sleep. What then becomes of their memory is what is drilled.
 */
#ifndef TENANTS_DRILL_H
#define TENANTS_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"

#define DRILL_MAX_NS UINT64_C(10000000000)

/* Take the lock, let the suspended @request be answered, and leave the lock after @ns.
 * False: there is no thread for it. */
bool drill_start(struct request *request, uint64_t ns);

/* Those that hold the lock leave it now. */
void drill_end(void);

/* Wait until all have ended. */
void drill_fini(void);

#endif
