/* SPDX-License-Identifier: MIT */
/* The functions of a module by address: libdw looks at all symbols for each address. */
#ifndef BHI_CHECK_SYMBOL_TABLE_H
#define BHI_CHECK_SYMBOL_TABLE_H

#include <elfutils/libdwfl.h>
#include <stddef.h>

struct bhi_check_symbol;

struct bhi_check_symbol_table {
	struct bhi_check_symbol *symbols; /* by address */
	size_t nr;
};

/* All symbols of @module that have a size; names are the module's. Context: may wait. */
void bhi_check_symbol_table_init(
	struct bhi_check_symbol_table *table, Dwfl_Module *module);
void bhi_check_symbol_table_free(struct bhi_check_symbol_table *table);

/*
 * The innermost symbol that covers @address, and how far in it that is. Of several names
 * for one function, the one that people know: strdup, not __strdup. NULL: none does.
 */
const char *bhi_check_symbol_table_find(const struct bhi_check_symbol_table *table,
	GElf_Addr address, GElf_Off *ret_within);

#endif
