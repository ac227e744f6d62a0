/* SPDX-License-Identifier: MIT */
/*
 * /proc/self/cgroup names the process's cgroup in each hierarchy, /proc/self/mountinfo
 * says where hierarchies can be seen: proc(5), Linux Documentation/filesystems/proc.rst
 * section 3.5. A mount may show only a part of its hierarchy (the mount's root), and both
 * paths are relative to the process's cgroup namespace, with "/.." for what lies above
 * it.
 *
 * A limit that is overlooked makes the zone too large, so every mount that shows the
 * process's cgroup or an ancestor of it is looked at, even if that lists a limit twice.
 */
#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/parse.h"
#include "base/pool.h"
#include "base/sys.h"

#include "account/zone_probe.h"

/* The usual mountinfo fits into the first; one that exceeds the last is cut: the mounts
 * of cgroups are made at boot and stand at its beginning. */
#define TEXT_SIZE_LEAST ((size_t)16 * 1024)
#define TEXT_SIZE_MOST  ((size_t)1024 * 1024)

/* Version 1 has no word for "no limit": it is LONG_MAX rounded down to a page, and pages
 * have up to 64 KiB. */
#define UNLIMITED_LEAST ((uint64_t)INT64_MAX - 0xffff)

#define FILE_NAME_SIZE 32

static const struct hierarchy {
	enum bhi_zone_origin origin;
	const char *file;
} hierarchies[] = {
	{BHI_ZONE_FROM_CGROUP2, "/memory.max"},
	{BHI_ZONE_FROM_CGROUP1, "/memory.limit_in_bytes"},
};

struct text {
	char *data;
	size_t size;
};

/* Too much for a stack whose size is the host's choice. */
struct work {
	const char *root;
	struct bhi_probe probe;
	struct bhi_probe_mount mount;
	char cgroups[bhi_array_size(hierarchies)][BHI_PROBE_PATH_SIZE];
	char path[3 * BHI_PROBE_PATH_SIZE + FILE_NAME_SIZE];
};

/* A piece of a line; not ended by 0. */
struct span {
	const char *start, *end;
};

static size_t hierarchy_of(enum bhi_zone_origin origin)
{
	size_t i = 0;

	while (hierarchies[i].origin != origin)
		i++;
	return i;
}

static void text_fini(struct text *text)
{
	bhi_meta_unmap(text->data, text->size);
}

/* Read @path below @root; a file that cannot be read is an empty text. 0 or -ENOMEM. */
static int text_read(struct text *text, struct work *work, const char *path)
{
	ssize_t r;
	char *last;

	strcpy(work->path, work->root);
	strcat(work->path, path);
	for (size_t size = TEXT_SIZE_LEAST;; size *= 4) {
		*text = (struct text){bhi_meta_map(size), size};
		if (!text->data)
			return -ENOMEM;
		r = bhi_sys_read_file(work->path, text->data, size);
		if (r != -EFBIG || size >= TEXT_SIZE_MOST)
			break;
		text_fini(text);
	}
	if (r == -EFBIG) {
		/* The buffer holds the beginning; the last line is a part of one. */
		text->data[text->size - 1] = '\0';
		last = strrchr(text->data, '\n');
		r = last ? last + 1 - text->data : 0;
	}
	text->data[bhi_max(r, (ssize_t)0)] = '\0';
	return 0;
}

static struct span next_line(const char **text)
{
	struct span line = {*text, *text + strcspn(*text, "\n")};

	*text = line.end + (*line.end == '\n');
	return line;
}

/* Cut the part before @separator off @rest; without one, all of it. */
static struct span cut(struct span *rest, char separator)
{
	size_t len = (size_t)(rest->end - rest->start);
	const char *found = memchr(rest->start, separator, len);
	struct span field = {rest->start, found ? found : rest->end};

	rest->start = found ? found + 1 : rest->end;
	return field;
}

static bool span_is(struct span span, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(span.end - span.start) == len && !memcmp(span.start, text, len);
}

static bool list_contains(struct span list, const char *word)
{
	while (list.start < list.end) {
		if (span_is(cut(&list, ','), word))
			return true;
	}
	return false;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Copy a field of mountinfo, in which \ooo stands for a byte. False: it does not fit. */
static bool unescape(struct span field, char *buf, size_t size)
{
	const char *p = field.start;
	size_t len = 0;

	while (p < field.end) {
		char c = *p++;

		if (len + 1 >= size)
			return false;
		if (c == '\\' && field.end - p >= 3 && is_octal(p[0]) && is_octal(p[1]) &&
			is_octal(p[2])) {
			c = (char)((p[0] - '0') << 6 | (p[1] - '0') << 3 | (p[2] - '0'));
			p += 3;
		}
		buf[len++] = c;
	}
	buf[len] = '\0';
	return true;
}

int bhi_probe_cgroup_path(
	const char *text, enum bhi_zone_origin origin, char *buf, size_t size)
{
	while (*text) {
		struct span path = next_line(&text), controllers;
		size_t len;

		cut(&path, ':');
		controllers = cut(&path, ':');
		len = (size_t)(path.end - path.start);
		if (origin == BHI_ZONE_FROM_CGROUP2
				? controllers.start != controllers.end
				: !list_contains(controllers, "memory"))
			continue;
		if (!len || *path.start != '/' || len >= size)
			continue;
		memcpy(buf, path.start, len);
		buf[len] = '\0';
		return 0;
	}
	return -ENOENT;
}

/* id parent device root point options optional... - type source super-options */
static bool parse_mount(struct span line, struct bhi_probe_mount *ret)
{
	struct span root, point, field;

	for (int i = 0; i < 3; i++)
		cut(&line, ' ');
	root = cut(&line, ' ');
	point = cut(&line, ' ');
	do {
		if (line.start == line.end)
			return false;
		field = cut(&line, ' ');
	} while (!span_is(field, "-"));
	field = cut(&line, ' ');
	cut(&line, ' ');
	if (span_is(field, "cgroup2"))
		ret->origin = BHI_ZONE_FROM_CGROUP2;
	else if (span_is(field, "cgroup") && list_contains(line, "memory"))
		ret->origin = BHI_ZONE_FROM_CGROUP1;
	else
		return false;
	return unescape(root, ret->root, sizeof(ret->root)) && *ret->root == '/' &&
	       unescape(point, ret->point, sizeof(ret->point)) && *ret->point == '/';
}

bool bhi_probe_next_mount(const char **text, struct bhi_probe_mount *ret)
{
	while (**text) {
		if (parse_mount(next_line(text), ret))
			return true;
	}
	return false;
}

/* Whether a component of @path is ".." (@all: every one). */
static bool has_dotdot(const char *path, bool all)
{
	while (*path) {
		size_t len;
		bool is_dotdot;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		is_dotdot = len == 2 && path[0] == '.' && path[1] == '.';
		if (len && is_dotdot != all)
			return !all;
		path += len;
	}
	return all;
}

const char *bhi_probe_path_below(const struct bhi_probe_mount *mount, const char *cgroup)
{
	size_t len = strcmp(mount->root, "/") ? strlen(mount->root) : 0;

	if (strncmp(cgroup, mount->root, len) || (cgroup[len] && cgroup[len] != '/')) {
		/* Only "/.." components, more of them than the cgroup's path starts with:
		 * an ancestor of the cgroup, and nobody tells the names in between. */
		return has_dotdot(mount->root, true) ? cgroup + strlen(cgroup) : NULL;
	}
	if (has_dotdot(cgroup + len, false))
		return NULL;
	return cgroup + len + !strcmp(cgroup + len, "/");
}

static bool read_limit(const char *path, uint64_t *ret)
{
	char text[32];
	uint64_t value = UINT64_MAX;

	if (bhi_sys_read_file(path, text, sizeof(text)) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, "max") && bhi_parse_u64(text, UINT64_MAX, &value))
		return false;
	*ret = value >= UNLIMITED_LEAST ? UINT64_MAX : value;
	return true;
}

/* A free entry, or the loosest one if that is looser than @size, or NULL. */
static struct bhi_probe_limit *choose_entry(struct bhi_probe *probe, uint64_t size)
{
	struct bhi_probe_limit *loosest = &probe->limits[0];

	if (probe->nr_limits < BHI_PROBE_MAX_LIMITS)
		return &probe->limits[probe->nr_limits++];
	for (unsigned i = 1; i < probe->nr_limits; i++) {
		if (probe->limits[i].size > loosest->size)
			loosest = &probe->limits[i];
	}
	return loosest->size > size ? loosest : NULL;
}

static void add_limit(struct bhi_probe *probe, enum bhi_zone_origin origin, uint64_t size,
	const char *path)
{
	static const char ellipsis[] = "...";
	struct bhi_probe_limit *limit = choose_entry(probe, size);
	size_t len = strlen(path);

	if (size < probe->smallest) {
		probe->smallest = size;
		probe->origin = origin;
	}
	if (!limit)
		return;
	limit->origin = origin;
	limit->size = size;
	if (len < sizeof(limit->path)) {
		memcpy(limit->path, path, len + 1);
		return;
	}
	path += len + 1 - sizeof(limit->path);
	memcpy(limit->path, path, sizeof(limit->path));
	memcpy(limit->path, ellipsis, sizeof(ellipsis) - 1);
}

/* Read the limits from the cgroup @below the mount point up to the mount point. */
static void probe_mount(struct work *work, const char *file, const char *below)
{
	char *path = work->path, *start = path + strlen(work->root);
	char *point, *end;
	uint64_t size;

	strcpy(path, work->root);
	if (strcmp(work->mount.point, "/"))
		strcpy(start, work->mount.point);
	point = start + strlen(start);
	strcpy(point, below);
	end = point + strlen(point);
	for (;;) {
		strcpy(end, file);
		if (read_limit(path, &size))
			add_limit(&work->probe, work->mount.origin, size, start);
		if (end == point)
			return;
		do
			end--;
		while (*end != '/');
	}
}

static int probe_cgroups(struct work *work)
{
	const char *cursor, *below;
	struct text text;
	int r;

	r = text_read(&text, work, "/proc/self/cgroup");
	if (r)
		return r;
	for (size_t i = 0; i < bhi_array_size(hierarchies); i++) {
		if (bhi_probe_cgroup_path(text.data, hierarchies[i].origin,
			    work->cgroups[i], sizeof(work->cgroups[i])))
			work->cgroups[i][0] = '\0';
	}
	text_fini(&text);
	r = text_read(&text, work, "/proc/self/mountinfo");
	if (r)
		return r;
	cursor = text.data;
	while (bhi_probe_next_mount(&cursor, &work->mount)) {
		size_t i = hierarchy_of(work->mount.origin);

		below = NULL;
		if (work->cgroups[i][0])
			below = bhi_probe_path_below(&work->mount, work->cgroups[i]);
		if (below)
			probe_mount(work, hierarchies[i].file, below);
	}
	text_fini(&text);
	return 0;
}

static uint64_t parse_ram(const char *text)
{
	uint64_t kb = 0;

	while (*text) {
		struct span line = next_line(&text);

		if (!span_is(cut(&line, ':'), "MemTotal"))
			continue;
		while (line.start < line.end && *line.start == ' ')
			line.start++;
		for (; line.start < line.end && *line.start >= '0' && *line.start <= '9';
			line.start++) {
			kb = kb * 10 + (uint64_t)(*line.start - '0');
			if (kb > UNLIMITED_LEAST >> 10)
				return 0;
		}
		if (span_is(line, " kB"))
			return kb << 10;
	}
	return 0;
}

static int probe_ram(struct work *work)
{
	struct sysinfo info;
	struct text text;
	int r;

	r = text_read(&text, work, "/proc/meminfo");
	if (r)
		return r;
	work->probe.ram = parse_ram(text.data);
	text_fini(&text);
	/* Without /proc the system call still knows; but of the real machine. */
	if (!work->probe.ram && !*work->root && !sysinfo(&info))
		work->probe.ram = (uint64_t)info.totalram * info.mem_unit;
	if (!work->probe.ram)
		return -ENOENT;
	work->probe.smallest = work->probe.ram;
	work->probe.origin = BHI_ZONE_FROM_RAM;
	return 0;
}

int bhi_zone_probe(const char *root, struct bhi_probe *ret)
{
	struct work *work;
	int r;

	if (strlen(root) >= BHI_PROBE_PATH_SIZE)
		return -ENOENT;
	work = bhi_meta_map(sizeof(*work));
	if (!work)
		return -ENOMEM;
	work->root = root;
	r = probe_ram(work);
	if (!r)
		r = probe_cgroups(work);
	if (!r)
		*ret = work->probe;
	bhi_meta_unmap(work, sizeof(*work));
	return r;
}
