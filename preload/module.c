/* SPDX-License-Identifier: MIT */
/*
 * An entry of the cache is written by one thread, which took its place by an atomic
 * addition, and is valid for the generation it carries: written last, and compared on
 * each use. Forgetting adds one to the generation, and places are taken anew when all are
 * used up. A reader that meets an entry while it is being overwritten sees a generation
 * of 0 before or after it copied the entry.
 */
#include "module.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "subject.h"

#define NR_CACHED 128

struct cached {
	uint32_t generation; /* atomic; 0: being written, or never was */
	struct bhi_module module;
};

static struct {
	uint32_t generation; /* atomic, from 1 */
	uint32_t nr_taken;   /* atomic; places, ever */
	struct cached cache[NR_CACHED];
} state = {.generation = 1};

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash ? hash : 1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The build-id, when the headers of the object are where it begins, as they always are
 * unless somebody took pains. */
static void read_build_id(const struct dl_find_object *object, struct bhi_check_module *m)
{
	const ElfW(Ehdr) *header = object->dlfo_map_start;
	const ElfW(Phdr) * program;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG))
		return;
	program = (const void *)((const char *)header + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++, program++) {
		const char *at, *end;

		if (program->p_type != PT_NOTE)
			continue;
		at = (const char *)m->base + program->p_vaddr;
		end = at + program->p_memsz;
		while (at + sizeof(ElfW(Nhdr)) < end) {
			const ElfW(Nhdr) *note = (const void *)at;
			const char *name = at + sizeof(*note);
			const char *data = name + ((note->n_namesz + 3) & ~3u);

			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
				!memcmp(name, "GNU", 4) &&
				note->n_descsz <= sizeof(m->build_id)) {
				memcpy(m->build_id, data, note->n_descsz);
				m->build_id_len = note->n_descsz;
				return;
			}
			at = data + ((note->n_descsz + 3) & ~3u);
		}
	}
}

static void fill(struct bhi_check_module *m, const struct dl_find_object *object,
	const char *path, uint32_t name_hash)
{
	size_t length = strnlen(path, sizeof(m->path) - 1);

	m->name_hash = name_hash;
	m->base = object->dlfo_link_map->l_addr;
	m->size =
		(uint64_t)((char *)object->dlfo_map_end - (char *)object->dlfo_map_start);
	memcpy(m->path, path, length);
	read_build_id(object, m);
	bhi_store_release(&m->state, 2);
}

/* The place of the object in the shared table, which it gets now if it has none. Two
 * processes that add the same one at the same time give it two places, which does no
 * harm: hashes are made of names. */
static uint32_t find_number(
	const struct dl_find_object *object, const char *path, uint32_t name_hash)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	uint32_t nr = bhi_load_acquire(&shared->nr_modules);

	for (uint32_t i = 0; i < nr && i < BHI_CHECK_MAX_MODULES; i++) {
		struct bhi_check_module *m = &shared->modules[i];

		if (bhi_load_acquire(&m->state) == 2 && m->name_hash == name_hash &&
			!strncmp(m->path, path, sizeof(m->path) - 1))
			return i;
	}
	nr = __atomic_fetch_add(&shared->nr_modules, 1, __ATOMIC_ACQ_REL);
	if (nr >= BHI_CHECK_MAX_MODULES) {
		__atomic_fetch_or(&shared->overflow, 4, __ATOMIC_RELAXED);
		return BHI_CHECK_NO_MODULE;
	}
	bhi_store(&shared->modules[nr].state, 1);
	fill(&shared->modules[nr], object, path, name_hash);
	return nr;
}

/* The program itself has no name in the loader's list. */
static void describe(const struct dl_find_object *object, struct bhi_module *ret)
{
	char exe[sizeof(((struct bhi_check_module *)NULL)->path)] = "";
	const char *path = object->dlfo_link_map->l_name;

	if (!*path) {
		ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

		exe[length > 0 ? length : 0] = 0;
		path = exe;
	}
	ret->start = (uintptr_t)object->dlfo_map_start;
	ret->end = (uintptr_t)object->dlfo_map_end;
	ret->base = object->dlfo_link_map->l_addr;
	ret->name_hash = hash_name(base_name(path));
	ret->number = find_number(object, path, ret->name_hash);
}

static bool find_cached(uintptr_t address, uint32_t generation, struct bhi_module *ret)
{
	uint32_t nr = bhi_load(&state.nr_taken);

	for (uint32_t i = 0; i < nr && i < NR_CACHED; i++) {
		struct cached *c = &state.cache[i];

		if (bhi_load_acquire(&c->generation) != generation ||
			address - c->module.start >= c->module.end - c->module.start)
			continue;
		*ret = c->module;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (bhi_load(&c->generation) == generation)
			return true;
	}
	return false;
}

bool bhi_module_find(uintptr_t address, struct bhi_module *ret)
{
	uint32_t generation = bhi_load_acquire(&state.generation);
	struct dl_find_object object;
	struct cached *c;

	if (find_cached(address, generation, ret))
		return true;
	if (_dl_find_object((void *)address, &object))
		return false;
	describe(&object, ret);
	c = &state.cache[(bhi_add_return(&state.nr_taken, 1) - 1) % NR_CACHED];
	bhi_store(&c->generation, 0);
	bhi_fence();
	c->module = *ret;
	bhi_store_release(&c->generation, generation);
	return true;
}

void bhi_module_forget(void)
{
	bhi_add(&state.generation, 1);
}
