/* SPDX-License-Identifier: MIT */
/* Who is asked, and who is killed, when memory is short. */
#ifndef BHI_TESTS_SUPPORT_SHORT_H
#define BHI_TESTS_SUPPORT_SHORT_H

#include "reclaim/reclaim.h"
#include "support_memory.h"

/* The zone of these tests and its marks. */
#define SHORT_ZONE (16 * MIB)
#define SHORT_MIN  (512 * KIB)
#define SHORT_LOW  (640 * KIB)
#define SHORT_HIGH (768 * KIB)

/* Rounds of a fruitless request: the first and 16 retries. */
#define SHORT_ROUNDS 17
/* How often each shrinker is asked in a round that does not reach its aim. */
#define SHORT_PASSES (BHI_RECLAIM_PRIORITY + 1)

/*
 * A killer for bhi_oom_killer, which counts how often it is called and with what. Its
 * victim has .gives bytes of bh_charge in the group that is over, and there is another
 * one each time; 0: nobody to kill.
 */
struct support_killer {
	struct bh_group *over;
	int64_t size;
	uint32_t nr_calls; /* atomic */
	uint64_t gives;
};

extern struct support_killer support_killer;
bool support_kill(struct bh_group *over, int64_t size);

/* A shrinker that counts objects, for the thread that made it, and frees none. */
struct support_stubborn {
	struct bh_shrinker shrinker;
	pthread_t here;
	size_t nr_objects;
	uint32_t nr_counts, nr_scans;
	unsigned flags; /* of the last call */
};

/* Registered, with 1000 objects. */
void support_stubborn_init(struct support_stubborn *s, struct bh_group *group);
void support_stubborn_fini(struct support_stubborn *s);

/* How many rounds so many calls of count() are. */
unsigned support_rounds(uint32_t nr_counts);

#endif
