/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CRASH_SITE_H
#define BENCH_CRASH_SITE_H

/* A line "WHAT MODULE+OFFSET": who called into the C library. */
void site_say(const char *what);

#endif
