/* SPDX-License-Identifier: MIT */
#include "symbol_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "allocate.h"

struct bhi_check_symbol {
	GElf_Addr start, end;
	GElf_Addr reach; /* the largest .end up to here */
	const char *name;
	int number; /* in the file */
	unsigned char type, binding;
};

/* How much a name says: those that others may use are better known. */
static int weight(unsigned char binding)
{
	switch (binding) {
	case STB_GLOBAL:
		return 2;
	case STB_WEAK:
		return 1;
	default:
		return 0;
	}
}

/* By address, and of those at one address the preferred one last. */
static int by_start(const void *a, const void *b)
{
	const struct bhi_check_symbol *first = a, *second = b;
	int order;

	if (first->start != second->start)
		return first->start < second->start ? -1 : 1;
	order = weight(first->binding) - weight(second->binding);
	return order ? order : second->number - first->number;
}

static bool take(Dwfl_Module *module, int number, struct bhi_check_symbol *ret)
{
	GElf_Sym symbol;
	GElf_Addr address;
	GElf_Word section = 0;
	const char *name = dwfl_module_getsym_info(
		module, number, &symbol, &address, &section, NULL, NULL);

	if (!name || !*name || !symbol.st_size || section == SHN_UNDEF)
		return false;
	*ret = (struct bhi_check_symbol){.start = address,
		.end = address + symbol.st_size,
		.name = name,
		.number = number,
		.type = GELF_ST_TYPE(symbol.st_info),
		.binding = GELF_ST_BIND(symbol.st_info)};
	return ret->type != STT_SECTION && ret->type != STT_FILE && ret->type != STT_TLS;
}

void bhi_check_symbol_table_init(
	struct bhi_check_symbol_table *table, Dwfl_Module *module)
{
	int nr = dwfl_module_getsymtab(module);
	GElf_Addr reach = 0;

	*table = (struct bhi_check_symbol_table){0};
	if (nr <= 0)
		return;
	table->symbols = bhi_check_alloc((size_t)nr, sizeof(*table->symbols));
	for (int i = 1; i < nr; i++)
		table->nr += take(module, i, &table->symbols[table->nr]);
	qsort(table->symbols, table->nr, sizeof(*table->symbols), by_start);
	for (size_t i = 0; i < table->nr; i++) {
		reach = table->symbols[i].end > reach ? table->symbols[i].end : reach;
		table->symbols[i].reach = reach;
	}
}

void bhi_check_symbol_table_free(struct bhi_check_symbol_table *table)
{
	free(table->symbols);
	*table = (struct bhi_check_symbol_table){0};
}

/* How many symbols begin at @address or before it. */
static size_t nr_up_to(const struct bhi_check_symbol_table *table, GElf_Addr address)
{
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->symbols[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_better_name(const char *name, const char *than)
{
	size_t len = strcspn(name, "@"), than_len = strcspn(than, "@");

	if ((*name == '_') != (*than == '_'))
		return *than == '_';
	if (len != than_len)
		return len < than_len;
	return strncmp(name, than, len) < 0;
}

static const char *find_alias(const struct bhi_check_symbol_table *table, size_t at)
{
	GElf_Addr start = table->symbols[at].start;
	const char *name = table->symbols[at].name;

	if (*name != '_')
		return name;
	while (at && table->symbols[at - 1].start == start)
		at--;
	for (; at < table->nr && table->symbols[at].start == start; at++) {
		if (table->symbols[at].type == STT_FUNC &&
			is_better_name(table->symbols[at].name, name))
			name = table->symbols[at].name;
	}
	return name;
}

const char *bhi_check_symbol_table_find(const struct bhi_check_symbol_table *table,
	GElf_Addr address, GElf_Off *ret_within)
{
	for (size_t at = nr_up_to(table, address); at; at--) {
		const struct bhi_check_symbol *symbol = &table->symbols[at - 1];

		if (symbol->reach <= address)
			return NULL;
		if (symbol->end <= address)
			continue;
		*ret_within = address - symbol->start;
		return find_alias(table, at - 1);
	}
	return NULL;
}
