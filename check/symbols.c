/* SPDX-License-Identifier: MIT */
/*
 * A module is opened when the first of its places is looked up and stays open. Symbols
 * that do not cover the address are not taken: in a stripped file the nearest one before
 * it is another function.
 */
#include <dlfcn.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocate.h"
#include "symbol_table.h"
#include "symbols.h"

#define NR_BUCKETS 16384

/* The module as libdw sees it, with separate debug information or without. */
struct view {
	Dwfl *dwfl;
	Dwfl_Module *module; /* NULL: cannot be read */
	Dwarf_Addr start;    /* where libdw put it */
	bool has_table;
	struct bhi_check_symbol_table table;
};

struct module {
	char *path;
	const char *name;
	char *build_id;
	struct view own, full;
	uint64_t link_base; /* of a program that is not relocated */
	struct module *next;
};

/* A name of ours. */
struct name {
	char *text;
	struct name *next;
};

struct entry {
	const struct module *module;
	uint64_t offset;
	bool is_exact;
	struct bhi_check_place place;
	struct entry *next;
};

typedef char *demangler(const char *name, char *buf, size_t *len, int *ret_status);

struct bhi_check_symbols {
	pthread_mutex_t lock;
	/* protected by .lock */
	struct module *modules;
	struct name *names;
	bool looked_for_cxx;
	demangler *demangle;
	struct entry *buckets[NR_BUCKETS];
};

static int find_nothing(Dwfl_Module *module, void **userdata, const char *name,
	Dwarf_Addr base, const char *file, const char *link, GElf_Word crc, char **ret)
{
	(void)module, (void)userdata, (void)name, (void)base, (void)file, (void)link;
	(void)crc, (void)ret;
	return -1;
}

static const Dwfl_Callbacks full_callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static const Dwfl_Callbacks own_callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = find_nothing,
	.section_address = dwfl_offline_section_address,
};

/* The lowest address that a program which is not relocated is linked for; 0 for others.
 */
static uint64_t find_link_base(Dwfl_Module *module)
{
	uint64_t least = UINT64_MAX;
	GElf_Addr bias;
	GElf_Ehdr header;
	size_t nr = 0;
	Elf *elf = dwfl_module_getelf(module, &bias);

	if (!elf || !gelf_getehdr(elf, &header) || header.e_type != ET_EXEC ||
		elf_getphdrnum(elf, &nr))
		return 0;
	for (size_t i = 0; i < nr; i++) {
		GElf_Phdr segment;

		if (gelf_getphdr(elf, (int)i, &segment) && segment.p_type == PT_LOAD)
			least = bhi_min(least, (uint64_t)segment.p_vaddr);
	}
	return least == UINT64_MAX ? 0 : least;
}

static void open_view(
	struct view *view, const struct module *module, const Dwfl_Callbacks *callbacks)
{
	view->dwfl = dwfl_begin(callbacks);
	if (!view->dwfl)
		return;
	dwfl_report_begin(view->dwfl);
	view->module = dwfl_report_offline(view->dwfl, module->name, module->path, -1);
	dwfl_report_end(view->dwfl, NULL, NULL);
	/* Addresses of the file plus .start are libdw's. */
	if (view->module && !dwfl_module_getelf(view->module, &view->start))
		view->module = NULL;
}

static void close_view(struct view *view)
{
	bhi_check_symbol_table_free(&view->table);
	if (view->dwfl)
		dwfl_end(view->dwfl);
}

static void open_module(struct module *module)
{
	open_view(&module->own, module, &own_callbacks);
	open_view(&module->full, module, &full_callbacks);
	if (module->own.module)
		module->link_base = find_link_base(module->own.module);
}

static struct module *find_module(
	struct bhi_check_symbols *symbols, const char *path, const char *build_id)
{
	struct module *module;
	const char *slash;

	for (module = symbols->modules; module; module = module->next) {
		if (!strcmp(module->path, path) && !strcmp(module->build_id, build_id))
			return module;
	}
	module = bhi_check_alloc(1, sizeof(*module));
	module->path = bhi_check_strdup(path);
	slash = strrchr(module->path, '/');
	module->name = slash ? slash + 1 : module->path;
	module->build_id = bhi_check_strdup(build_id);
	open_module(module);
	module->next = symbols->modules;
	symbols->modules = module;
	return module;
}

/* libdw finds the unit of an address by .debug_aranges, which clang does not write: then
 * the units themselves are asked. */
static const char *line_by_units(Dwfl_Module *module, Dwarf_Addr address, int *ret_line)
{
	Dwarf_Die *unit = NULL;
	Dwarf_Addr bias;

	while ((unit = dwfl_module_nextcu(module, unit, &bias))) {
		Dwarf_Line *found;

		if (dwarf_haspc(unit, address - bias) <= 0)
			continue;
		found = dwarf_getsrc_die(unit, address - bias);
		if (!found || dwarf_lineno(found, ret_line))
			return NULL;
		return dwarf_linesrc(found, NULL, NULL);
	}
	return NULL;
}

static void find_line(
	const struct view *view, Dwarf_Addr address, struct bhi_check_place *place)
{
	Dwfl_Line *found = dwfl_module_getsrc(view->module, address + view->start);
	int line = 0;
	const char *file =
		found ? dwfl_lineinfo(found, NULL, &line, NULL, NULL, NULL)
		      : line_by_units(view->module, address + view->start, &line);

	if (!file || line <= 0)
		return;
	place->file = file;
	place->line = (unsigned)line;
}

/* NULL: no symbol covers it. */
static const char *find_symbol(
	struct view *view, Dwarf_Addr address, GElf_Off *ret_within)
{
	if (!view->module)
		return NULL;
	if (!view->has_table)
		bhi_check_symbol_table_init(&view->table, view->module);
	view->has_table = true;
	return bhi_check_symbol_table_find(
		&view->table, address + view->start, ret_within);
}

static const char *keep(struct bhi_check_symbols *symbols, char *text)
{
	struct name *kept = bhi_check_alloc(1, sizeof(*kept));

	kept->text = text;
	kept->next = symbols->names;
	symbols->names = kept;
	return text;
}

static const char *without_version(struct bhi_check_symbols *symbols, const char *name)
{
	const char *version = strchr(name, '@');

	if (!version)
		return name;
	return keep(symbols, bhi_check_strndup(name, (size_t)(version - name)));
}

/* Templates say what they return; "operator new" does not. */
static void cut_type(char *name)
{
	char *space = strrchr(name, ' ');

	if (space && (space - name < 8 || strncmp(space - 8, "operator", 8)))
		memmove(name, space + 1, strlen(space + 1) + 1);
}

/* "std::getline<char, ...>(...)" to "std::getline<>": what people call it. */
static void shorten(char *name)
{
	char *to = name;
	int depth = 0;

	for (const char *c = name; *c; c++) {
		bool is_operator = to - name >= 8 && !strncmp(to - 8, "operator", 8);

		if (*c == '(' && !depth && !is_operator && to > name)
			break;
		if (*c == '>' && depth && !is_operator)
			depth--;
		if (!depth)
			*to++ = *c;
		if (*c == '<' && !is_operator)
			depth++;
	}
	*to = 0;
	cut_type(name);
}

/* Names of C++ for people. The runner is no C++ program; where there is no library of it,
 * no program that needs one runs either. */
static const char *demangle(struct bhi_check_symbols *symbols, const char *name)
{
	char *readable, *copy;
	int status = -1;

	if (strncmp(name, "_Z", 2))
		return name;
	if (!symbols->looked_for_cxx) {
		void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);

		symbols->looked_for_cxx = true;
		if (library)
			symbols->demangle = (demangler *)dlsym(library, "__cxa_demangle");
	}
	readable =
		symbols->demangle ? symbols->demangle(name, NULL, NULL, &status) : NULL;
	if (!readable || status)
		return name;
	shorten(readable);
	copy = bhi_check_strdup(*readable ? readable : name);
	free(readable);
	return keep(symbols, copy);
}

static void find_function(struct bhi_check_symbols *symbols, struct module *module,
	uint64_t offset, bool is_exact, struct bhi_check_place *place)
{
	Dwarf_Addr address =
		offset < module->link_base ? offset + module->link_base : offset;
	const char *own, *full;
	GElf_Off within = 0;

	if (!is_exact)
		address--;
	own = find_symbol(&module->own, address, &within);
	if (own) {
		place->own_function = without_version(symbols, own);
		place->function = demangle(symbols, place->own_function);
		place->own_offset = place->function_offset = within + !is_exact;
	}
	full = own ? NULL : find_symbol(&module->full, address, &within);
	if (full) {
		place->function = demangle(symbols, without_version(symbols, full));
		place->function_offset = within + !is_exact;
	}
	if (module->full.module)
		find_line(&module->full, address, place);
}

static struct bhi_check_place look_up_locked(struct bhi_check_symbols *symbols,
	const char *path, const char *build_id, uint64_t offset, bool is_exact)
{
	struct module *module = find_module(symbols, path, build_id);
	uint64_t hash =
		(offset * 2 + is_exact) * 0x9e3779b97f4a7c15 ^ (uintptr_t)module >> 4;
	struct entry **bucket = &symbols->buckets[(hash >> 32) % NR_BUCKETS], *entry;

	for (entry = *bucket; entry; entry = entry->next) {
		if (entry->module == module && entry->offset == offset &&
			entry->is_exact == is_exact)
			return entry->place;
	}
	entry = bhi_check_alloc(1, sizeof(*entry));
	entry->module = module;
	entry->offset = offset;
	entry->is_exact = is_exact;
	entry->place = (struct bhi_check_place){.module = module->name,
		.path = module->path,
		.offset = offset,
		.build_id = module->build_id};
	find_function(symbols, module, offset, is_exact, &entry->place);
	entry->next = *bucket;
	*bucket = entry;
	return entry->place;
}

struct bhi_check_symbols *bhi_check_symbols_new(void)
{
	struct bhi_check_symbols *symbols = bhi_check_alloc(1, sizeof(*symbols));

	pthread_mutex_init(&symbols->lock, NULL);
	return symbols;
}

void bhi_check_symbols_free(struct bhi_check_symbols *symbols)
{
	struct module *module;
	struct name *name;

	if (!symbols)
		return;
	while ((name = symbols->names)) {
		symbols->names = name->next;
		free(name->text);
		free(name);
	}
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		struct entry *entry;

		while ((entry = symbols->buckets[i])) {
			symbols->buckets[i] = entry->next;
			free(entry);
		}
	}
	while ((module = symbols->modules)) {
		symbols->modules = module->next;
		close_view(&module->own);
		close_view(&module->full);
		free(module->path);
		free(module->build_id);
		free(module);
	}
	pthread_mutex_destroy(&symbols->lock);
	free(symbols);
}

void bhi_check_symbols_place(struct bhi_check_symbols *symbols, const char *path,
	const char *build_id, uint64_t offset, bool is_exact, struct bhi_check_place *ret)
{
	pthread_mutex_lock(&symbols->lock);
	*ret = look_up_locked(symbols, path, build_id, offset, is_exact);
	pthread_mutex_unlock(&symbols->lock);
}

static void format_build_id(const struct bhi_check_module *module, char ret[41])
{
	size_t len = bhi_min((size_t)module->build_id_len, sizeof(module->build_id));

	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", module->build_id[i]);
	ret[2 * len] = 0;
}

void bhi_check_symbols_look_up(struct bhi_check_symbols *symbols,
	const struct bhi_check_shared *shared, const bhi_check_frame *frames, size_t nr,
	bool is_exact, struct bhi_check_backtrace *ret)
{
	ret->places = bhi_check_alloc(nr, sizeof(*ret->places));
	ret->nr = nr;
	pthread_mutex_lock(&symbols->lock);
	for (size_t i = 0; i < nr; i++) {
		uint64_t number = frames[i] >> 48, offset = frames[i] & ~(0xffffUL << 48);
		const struct bhi_check_module *module =
			number < BHI_CHECK_MAX_MODULES ? &shared->modules[number] : NULL;
		char build_id[41] = "";

		if (module)
			format_build_id(module, build_id);
		ret->places[i] =
			look_up_locked(symbols, module ? module->path : "unknown",
				build_id, offset, is_exact && !i);
	}
	pthread_mutex_unlock(&symbols->lock);
}
