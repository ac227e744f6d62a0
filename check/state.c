/* SPDX-License-Identifier: MIT */
/*
 * A line a word and its values: "test" and the figures of a test, followed by what
 * belongs to it: "difference", "message", "frame" for each frame of the crash. A file of
 * another version or another command is as good as none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "group.h"
#include "allocate.h"
#include "state.h"

#define VERSION_LINE "bulkhead-check-state 1"

struct reader {
	FILE *file;
	char *line;
	size_t size;
	uint64_t key, builds;
	bool is_complete;
};

static uint64_t hash_text(uint64_t hash, const char *text)
{
	do {
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	} while (*text++);
	return hash;
}

/* What makes the same point another test is part of it. */
static uint64_t command_key(const struct bhi_check_options *options)
{
	uint64_t hash = hash_text(0xcbf29ce484222325, options->given);
	char *folder = getcwd(NULL, 0);

	if (folder)
		hash = hash_text(hash, folder);
	free(folder);
	for (char *const *word = options->setup.command; *word; word++)
		hash = hash_text(hash, *word);
	return hash;
}

/* Of the modules on all stacks: what a rebuilt program did is of no use. */
static uint64_t builds_key(const struct bhi_check_session *session)
{
	const char **seen = NULL;
	size_t nr = 0, capacity = 0;
	uint64_t key = 0;

	for (size_t i = 0; i < session->nr_stacks; i++) {
		const struct bhi_check_backtrace *trace = &session->stacks[i].trace;

		for (size_t k = 0; k < trace->nr; k++) {
			const char *id = trace->places[k].build_id;
			size_t at = 0;

			/* One string for each module. */
			while (at < nr && seen[at] != id)
				at++;
			if (at < nr)
				continue;
			seen = bhi_check_grow(seen, &capacity, nr + 1, sizeof(*seen));
			seen[nr++] = id;
			key += hash_text(0xcbf29ce484222325, id);
		}
	}
	free(seen);
	return key;
}

/* As mkdir -p. */
static bool make_folders(char *path)
{
	for (char *c = path + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = 0;
		if (mkdir(path, 0777) && errno != EEXIST) {
			*c = '/';
			return false;
		}
		*c = '/';
	}
	return !access(path, W_OK) || errno == ENOENT;
}

char *bhi_check_state_path(const struct bhi_check_options *options)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	uint64_t key = command_key(options);
	char shard[32] = "", *path;

	/* Shards may run at the same time. */
	if (options->plan.nr_shards)
		snprintf(shard, sizeof(shard), "-%u-of-%u", options->plan.shard,
			options->plan.nr_shards);
	if (state && *state == '/')
		path = bhi_check_format("%s/bulkhead/check-%016lx%s", state, key, shard);
	else if (home && *home == '/')
		path = bhi_check_format(
			"%s/.local/state/bulkhead/check-%016lx%s", home, key, shard);
	else
		return NULL;
	if (make_folders(path))
		return path;
	free(path);
	return NULL;
}

static void write_frames(FILE *file, const struct bhi_check_backtrace *crash)
{
	for (size_t i = 0; i < crash->nr; i++) {
		const struct bhi_check_place *place = &crash->places[i];

		fprintf(file, "frame %lx %s %s\n", place->offset,
			*place->build_id ? place->build_id : "-", place->path);
	}
}

static void write_test(FILE *file, const struct bhi_check_test *test)
{
	fprintf(file, "test %lx %lu %s %d %d %lx %d %lu %lu %lu %lx\n", test->stack,
		test->occurrence, bhi_check_class_name(test->class), test->signal,
		test->status, test->address, (int)test->function, test->size,
		test->leaked_bytes, test->leaked_blocks, test->key);
	if (test->difference)
		fprintf(file, "difference %s\n", test->difference);
	if (test->message)
		fprintf(file, "message %s\n", test->message);
	write_frames(file, &test->crash);
}

int bhi_check_state_save(
	const struct bhi_check_work *work, const char *path, bool is_complete)
{
	char *fresh = bhi_check_format("%s.XXXXXX", path);
	int fd = mkostemp(fresh, O_CLOEXEC), r = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	bool failed;

	if (!file) {
		r = -errno;
		if (fd >= 0) {
			(void)close(fd);
			(void)unlink(fresh);
		}
		free(fresh);
		return r;
	}
	fprintf(file, VERSION_LINE "\nkey %lx %lx\ncomplete %d\n",
		command_key(work->options), builds_key(&work->session), is_complete);
	for (size_t i = 0; i < work->nr_points; i++) {
		if (work->is_done[i])
			write_test(file, &work->session.tests[i]);
	}
	failed = ferror(file);
	if (fclose(file) || failed)
		r = -EIO;
	else if (rename(fresh, path))
		r = -errno;
	if (r)
		unlink(fresh);
	free(fresh);
	return r;
}

static bool read_line(struct reader *reader)
{
	ssize_t len = getline(&reader->line, &reader->size, reader->file);

	if (len > 0 && reader->line[len - 1] == '\n')
		reader->line[len - 1] = 0;
	return len > 0;
}

static void close_reader(struct reader *reader)
{
	if (reader->file)
		fclose(reader->file);
	free(reader->line);
}

static bool open_reader(struct reader *reader, const char *path)
{
	int is_complete;

	*reader = (struct reader){.file = fopen(path, "re")};
	if (reader->file && read_line(reader) && !strcmp(reader->line, VERSION_LINE) &&
		read_line(reader) &&
		sscanf(reader->line, "key %lx %lx", &reader->key, &reader->builds) == 2 &&
		read_line(reader) &&
		sscanf(reader->line, "complete %d", &is_complete) == 1) {
		reader->is_complete = is_complete;
		return true;
	}
	close_reader(reader);
	return false;
}

static bool parse_test(const char *line, struct bhi_check_test *ret)
{
	struct bhi_check_test test = {.finding = SIZE_MAX};
	char class[32];
	int function, number;

	if (sscanf(line, "test %lx %lu %31s %d %d %lx %d %lu %lu %lu %lx", &test.stack,
		    &test.occurrence, class, &test.signal, &test.status, &test.address,
		    &function, &test.size, &test.leaked_bytes, &test.leaked_blocks,
		    &test.key) != 11)
		return false;
	number = bhi_check_class_parse(class);
	if (number < 0 || function < 0 || function >= BHI_CHECK_NR_FUNCTIONS)
		return false;
	test.class = (enum bhi_check_class)number;
	test.function = (enum bhi_check_function)function;
	*ret = test;
	return true;
}

static void add_frame(
	const struct bhi_check_work *work, struct bhi_check_test *test, const char *line)
{
	struct bhi_check_backtrace *crash = &test->crash;
	size_t capacity = crash->nr;
	char build_id[64];
	uint64_t offset;
	int path = 0;

	if (sscanf(line, "frame %lx %63s %n", &offset, build_id, &path) != 2 || !path)
		return;
	crash->places = bhi_check_grow(
		crash->places, &capacity, crash->nr + 1, sizeof(*crash->places));
	bhi_check_symbols_place(work->symbols, line + path,
		strcmp(build_id, "-") ? build_id : "", offset, !crash->nr,
		&crash->places[crash->nr]);
	crash->nr++;
}

/* The lines that belong to a test; false when it is not one of them. */
static bool add_detail(
	const struct bhi_check_work *work, struct bhi_check_test *test, const char *line)
{
	if (!strncmp(line, "frame ", 6))
		add_frame(work, test, line);
	else if (!strncmp(line, "difference ", 11))
		test->difference = bhi_check_strdup(line + 11);
	else if (!strncmp(line, "message ", 8))
		test->message = bhi_check_strdup(line + 8);
	else
		return false;
	return true;
}

static size_t find_point(
	const struct bhi_check_work *work, const struct bhi_check_test *test)
{
	for (size_t i = 0; i < work->nr_points; i++) {
		const struct bhi_check_point *point = &work->points[i];

		if (point->occurrence == test->occurrence &&
			work->session.stacks[point->stack].hash == test->stack)
			return i;
	}
	return SIZE_MAX;
}

size_t bhi_check_state_load(struct bhi_check_work *work, const char *path)
{
	struct bhi_check_test *current = NULL, test;
	struct reader reader;
	size_t nr = 0;
	bool is_ours;

	if (!open_reader(&reader, path))
		return 0;
	is_ours = reader.key == command_key(work->options) &&
		  reader.builds == builds_key(&work->session) && !reader.is_complete;
	while (is_ours && read_line(&reader)) {
		size_t at;

		if (current && add_detail(work, current, reader.line))
			continue;
		current = NULL;
		at = parse_test(reader.line, &test) ? find_point(work, &test) : SIZE_MAX;
		if (at == SIZE_MAX || work->is_done[at])
			continue;
		current = &work->session.tests[at];
		*current = test;
		current->injected = work->session.stacks[work->points[at].stack].trace;
		work->is_done[at] = true;
		nr++;
	}
	close_reader(&reader);
	return nr;
}

size_t bhi_check_state_find(const struct bhi_check_work *work, const char *path,
	const char *id, struct bhi_check_point **ret)
{
	struct bhi_check_point *points = NULL;
	struct bhi_check_test test;
	size_t nr = 0, capacity = 0;
	struct reader reader;
	char own[32];

	*ret = NULL;
	if (!open_reader(&reader, path))
		return 0;
	while (read_line(&reader)) {
		if (!parse_test(reader.line, &test))
			continue;
		bhi_check_format_id(test.class, test.key, own);
		for (size_t i = 0; !strcmp(own, id) && i < work->session.nr_stacks; i++) {
			if (work->session.stacks[i].hash != test.stack)
				continue;
			points = bhi_check_grow(
				points, &capacity, nr + 1, sizeof(*points));
			points[nr++] = (struct bhi_check_point){
				.stack = i, .occurrence = test.occurrence};
		}
	}
	close_reader(&reader);
	*ret = points;
	return nr;
}
