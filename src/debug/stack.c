/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>

#include "base/fmt.h"
#include "debug/stack.h"

/* The frame of bhi_stack_walk(), and that of who asked. */
#define OWN_FRAMES 2

struct capture {
	uintptr_t *frames;
	unsigned nr, most, skip;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
	struct capture *capture = arg;
	uintptr_t address = _Unwind_GetIP(context);

	if (!address || capture->nr == capture->most)
		return _URC_END_OF_STACK;
	if (capture->skip)
		capture->skip--;
	else
		capture->frames[capture->nr++] = address;
	return _URC_NO_REASON;
}

BHI_NOINLINE unsigned bhi_stack_walk(uintptr_t *frames, unsigned most)
{
	struct capture capture = {
		.frames = frames,
		.most = bhi_min(most, (unsigned)BHI_STACK_DEPTH),
		.skip = OWN_FRAMES,
	};

	(void)_Unwind_Backtrace(add_frame, &capture);
	return capture.nr;
}

/* What is looked for, and the answer. */
struct search {
	const char *name;
	struct bhi_range range;
	/* of bhi_stack_describe() */
	uintptr_t address;
	char *buf;
	size_t size;
};

/* The main program has no name there. It is the only one. */
static const char *path_of(const struct dl_phdr_info *info, char *buf, size_t size)
{
	ssize_t n;

	if (info->dlpi_name && *info->dlpi_name)
		return info->dlpi_name;
	n = readlink("/proc/self/exe", buf, size - 1);
	buf[bhi_max(n, (ssize_t)0)] = '\0';
	return buf;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct bhi_range range_of(const struct dl_phdr_info *info)
{
	struct bhi_range range = {.start = UINTPTR_MAX};

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD)
			continue;
		range.start = bhi_min(range.start, start);
		range.end = bhi_max(range.end, start + header->p_memsz);
	}
	return range;
}

/* Exactly, or as far as ".so" and the version behind it. */
static bool is_module_name(const char *file, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(file, name, len) != 0)
		return false;
	file += len;
	return !*file || !strcmp(file, ".so") || !strncmp(file, ".so.", 4) ||
	       (*file == '.' && len >= 3 && !strcmp(name + len - 3, ".so"));
}

static int match_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	char buf[PATH_MAX];

	(void)size;
	if (!is_module_name(base_name(path_of(info, buf, sizeof(buf))), search->name))
		return 0;
	search->range = range_of(info);
	return 1;
}

int bhi_stack_find_module(const char *name, struct bhi_range *ret)
{
	struct search search = {.name = name};

	if (!*name || !dl_iterate_phdr(match_module, &search))
		return -ENOENT;
	*ret = search.range;
	return 0;
}

/* A file that is mapped whole. */
struct file {
	const char *data;
	size_t size;
};

static bool file_map(struct file *file, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p = MAP_FAILED;
	struct stat stat;

	if (fd < 0)
		return false;
	if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) &&
		stat.st_size >= (off_t)sizeof(ElfW(Ehdr)))
		p = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	*file = (struct file){.data = p, .size = (size_t)stat.st_size};
	return p != MAP_FAILED;
}

/* @nr things of @size bytes at @offset, if all of them are in the file. */
static const void *file_at(
	const struct file *file, uint64_t offset, uint64_t nr, size_t size)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(nr, (uint64_t)size, &bytes) || offset > file->size ||
		bytes > file->size - offset || offset % 8)
		return NULL;
	return file->data + offset;
}

static bool is_function(const ElfW(Sym) * symbol)
{
	unsigned type = symbol->st_info & 0xf;

	return (type == STT_FUNC || type == STT_GNU_IFUNC) &&
	       symbol->st_shndx != SHN_UNDEF && symbol->st_size;
}

/* In one table of symbols. */
static bool search_section(const struct file *file, const ElfW(Shdr) * sections,
	unsigned nr_sections, const ElfW(Shdr) * table, struct search *search)
{
	uint64_t nr = table->sh_size / sizeof(ElfW(Sym));
	const ElfW(Sym) *symbols = file_at(file, table->sh_offset, nr, sizeof(ElfW(Sym)));
	const ElfW(Shdr) *strings = &sections[table->sh_link];
	size_t len = strlen(search->name) + 1;

	if (!symbols || table->sh_link >= nr_sections ||
		strings->sh_offset > file->size ||
		strings->sh_size > file->size - strings->sh_offset)
		return false;
	for (uint64_t i = 0; i < nr; i++) {
		const ElfW(Sym) *symbol = &symbols[i];

		if (!is_function(symbol) || symbol->st_name >= strings->sh_size ||
			len > strings->sh_size - symbol->st_name ||
			memcmp(file->data + strings->sh_offset + symbol->st_name,
				search->name, len) != 0)
			continue;
		search->range.start = symbol->st_value;
		search->range.end = symbol->st_value + symbol->st_size;
		return true;
	}
	return false;
}

static bool search_file(const struct file *file, struct search *search)
{
	const ElfW(Ehdr) *header = file_at(file, 0, 1, sizeof(ElfW(Ehdr)));
	const ElfW(Shdr) * sections;

	if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
		header->e_shentsize != sizeof(ElfW(Shdr)))
		return false;
	sections = file_at(file, header->e_shoff, header->e_shnum, sizeof(ElfW(Shdr)));
	for (unsigned i = 0; sections && i < header->e_shnum; i++) {
		if ((sections[i].sh_type == SHT_DYNSYM ||
			    sections[i].sh_type == SHT_SYMTAB) &&
			search_section(
				file, sections, header->e_shnum, &sections[i], search))
			return true;
	}
	return false;
}

/* The symbols are read from the file, which has the local ones too. What has no file, as
 * the kernel's own module, has no functions here. */
static int match_function(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	char buf[PATH_MAX];
	struct file file;
	bool found;

	(void)size;
	if (!file_map(&file, path_of(info, buf, sizeof(buf))))
		return 0;
	found = search_file(&file, search);
	munmap((void *)(uintptr_t)file.data, file.size);
	if (!found)
		return 0;
	search->range.start += info->dlpi_addr;
	search->range.end += info->dlpi_addr;
	return 1;
}

int bhi_stack_find_function(const char *name, struct bhi_range *ret)
{
	struct search search = {.name = name};

	if (!*name || !dl_iterate_phdr(match_function, &search))
		return -ENOENT;
	*ret = search.range;
	return 0;
}

static int match_address(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	struct bhi_range range = range_of(info);
	char buf[PATH_MAX];

	(void)size;
	if (search->address < range.start || search->address >= range.end)
		return 0;
	bhi_format(search->buf, search->size, "%s+0x%lx",
		base_name(path_of(info, buf, sizeof(buf))),
		(unsigned long)(search->address - info->dlpi_addr));
	return 1;
}

char *bhi_stack_describe(uintptr_t address, char *buf, size_t size)
{
	struct search search = {.address = address, .buf = buf, .size = size};

	if (!dl_iterate_phdr(match_address, &search))
		bhi_format(buf, size, "%p", (void *)address);
	return buf;
}
