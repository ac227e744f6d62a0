/* SPDX-License-Identifier: MIT */
/*
 * Size classes: 8, then every 16 bytes up to 128, then eight to each doubling up to
 * 128 KiB. Above 128 bytes a class wastes at most 12.5 % of an object; below, alignment
 * to 16 bytes costs at most 15 bytes.
 */
#ifndef BHI_ALLOC_CLASSES_H
#define BHI_ALLOC_CLASSES_H

#include "base/compiler.h"
#include "base/sys.h"

#define BHI_NR_CLASSES     89
#define BHI_CLASS_MAX_SIZE ((size_t)131072)

/* Up to here the class comes from a table; above it is computed. */
#define BHI_CLASS_TABLE_SIZE 1024

extern uint8_t bhi_class_table[BHI_CLASS_TABLE_SIZE / 8 + 1];
extern uint32_t bhi_class_sizes[BHI_NR_CLASSES];

/* 2^40 / size, rounded up: exact quotients of offsets below 2^22. */
extern uint64_t bhi_class_inverses[BHI_NR_CLASSES];

/* Fill the tables. Context: any; once. */
void bhi_classes_init(void);

/* The class of a size above 128. Context: signal-safe. */
static inline unsigned bhi_class_compute(size_t size)
{
	unsigned shift = 63u - (unsigned)__builtin_clzl(size - 1);

	/* 129..256 have shift 7 and come right after the nine classes up to 128. */
	return 9 + (shift - 7) * 8 + (unsigned)((size - 1) >> (shift - 3)) - 8;
}

/* The class of @size, 0 to BHI_CLASS_MAX_SIZE. Context: signal-safe. */
static inline unsigned bhi_class_of(size_t size)
{
	if (bhi_likely(size <= BHI_CLASS_TABLE_SIZE))
		return bhi_class_table[(size + 7) >> 3];
	return bhi_class_compute(size);
}

/* Whether objects of the class begin at @offset of a slab. Without a division, which
 * costs as much as all else that is looked at. Context: signal-safe. */
static inline bool bhi_class_divides(unsigned class_id, size_t offset)
{
	size_t quotient = (offset * bhi_class_inverses[class_id]) >> 40;

	return quotient * bhi_class_sizes[class_id] == offset;
}

/*
 * The order of a new slab for objects of @size when its owner already has @bytes of that
 * class: no more than that (from 16 KiB on; below, no more than half), 4 KiB at least,
 * 64 KiB or eight objects at most, and enough that the tail wastes at most an eighth.
 * Pure. Context: signal-safe.
 */
unsigned bhi_slab_order(size_t size, uint64_t bytes);

#endif
