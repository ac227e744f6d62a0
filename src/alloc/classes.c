/* SPDX-License-Identifier: MIT */
#include "alloc/classes.h"

/* From here on an owner doubles what it has; below, four small slabs come first, for most
 * classes of most groups never need more. */
#define GROWING ((uint64_t)16 * 1024)

#define GROWN_SLAB_SIZE    ((uint64_t)64 * 1024)
#define LARGE_SLAB_OBJECTS 8

uint8_t bhi_class_table[BHI_CLASS_TABLE_SIZE / 8 + 1];
uint32_t bhi_class_sizes[BHI_NR_CLASSES];
uint64_t bhi_class_inverses[BHI_NR_CLASSES];

static unsigned class_of_small(size_t size)
{
	return size <= 8 ? 0 : (unsigned)((size + 15) / 16);
}

void bhi_classes_init(void)
{
	bhi_class_sizes[0] = 8;
	for (unsigned i = 1; i <= 8; i++)
		bhi_class_sizes[i] = 16 * i;
	for (unsigned i = 9; i < BHI_NR_CLASSES; i++) {
		unsigned doubling = (i - 9) / 8, step = (i - 9) % 8 + 1;

		bhi_class_sizes[i] = (128u << doubling) + step * (16u << doubling);
	}
	for (unsigned i = 0; i < BHI_NR_CLASSES; i++)
		bhi_class_inverses[i] = ((uint64_t)1 << 40) / bhi_class_sizes[i] + 1;
	for (size_t size = 0; size <= BHI_CLASS_TABLE_SIZE; size += 8)
		bhi_class_table[size / 8] =
			(uint8_t)(size <= 128 ? class_of_small(size)
					      : bhi_class_compute(size));
}

unsigned bhi_slab_order(size_t size, uint64_t bytes)
{
	uint64_t most = bhi_max(GROWN_SLAB_SIZE, (uint64_t)size * LARGE_SLAB_OBJECTS);
	uint64_t want = bhi_min(bytes < GROWING ? bytes / 2 : bytes, most);
	unsigned order = 0;

	while ((BHI_PAGE_SIZE << (order + 1)) <= want)
		order++;
	for (;; order++) {
		size_t slab = BHI_PAGE_SIZE << order;

		if (slab >= size && slab % size * 8 <= slab)
			return order;
	}
}
