/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "script.h"

static int output_grow(struct output *output, size_t wanted)
{
	size_t room = output->room ? output->room : 256;
	char *text;

	while (room < wanted)
		room *= 2;
	if (!output->group)
		text = realloc(output->text, room);
	else if (output->text)
		text = bh_realloc_flags(output->text, room, 0);
	else
		text = bh_alloc(output->group, room, 0);
	if (!text)
		return -ENOMEM;
	output->text = text;
	output->room = room;
	return 0;
}

/* A hold section: between the new block and the pointer to it nothing may unwind. */
int output_add(struct output *output, const char *bytes, size_t size)
{
	int r = 0;

	if (!size)
		return 0;
	if (size > output->max - output->size)
		return -E2BIG;
	bh_hold();
	if (output->room - output->size < size)
		r = output_grow(output, output->size + size);
	if (!r) {
		memcpy(output->text + output->size, bytes, size);
		output->size += size;
	}
	bh_release();
	return r;
}

void output_fini(struct output *output)
{
	if (output->group)
		bh_free(output->text);
	else
		free(output->text);
	output->text = NULL;
	output->size = output->room = 0;
}

struct stream *stream_new(struct bh_group *group, int wake_fd,
	void (*on_empty)(void *arg), void (*on_data)(void *arg), void *arg)
{
	struct stream *stream = bh_alloc(group, sizeof(*stream), 0);

	if (!stream)
		return NULL;
	memset(stream, 0, offsetof(struct stream, ring));
	pthread_mutex_init(&stream->lock, NULL);
	stream->wake_fd = wake_fd;
	stream->on_empty = on_empty;
	stream->on_data = on_data;
	stream->arg = arg;
	return stream;
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	pthread_mutex_destroy(&stream->lock);
	bh_free(stream);
}

/* Up to where the ring wraps around: how much may be copied at @from. */
static size_t run_length(size_t from, size_t wanted)
{
	size_t left = STREAM_ROOM - from % STREAM_ROOM;

	return wanted < left ? wanted : left;
}

/* Bytes taken; -EPIPE. The mutex is one of the C library, which knows nothing of tasks:
 * the hold section of the caller is what keeps the task from dying with it held. */
static ssize_t put_some(struct stream *stream, const char *bytes, size_t size)
{
	size_t room, nr = 0;
	bool is_waiting;

	pthread_mutex_lock(&stream->lock);
	room = STREAM_ROOM - (stream->head - stream->tail);
	if (size > room)
		size = room;
	while (nr < size) {
		size_t length = run_length(stream->head, size - nr);

		memcpy(stream->ring + stream->head % STREAM_ROOM, bytes + nr, length);
		stream->head += length;
		nr += length;
	}
	is_waiting = stream->is_waiting && nr;
	if (is_waiting)
		stream->is_waiting = false;
	if (stream->gone)
		nr = (size_t)-EPIPE;
	pthread_mutex_unlock(&stream->lock);
	if (is_waiting)
		stream->on_data(stream->arg);
	return (ssize_t)nr;
}

/* Sleeps in read(2), for as long as the client likes: the block section is what lets the
 * reaper take the memory of a script that sleeps here. */
static void wait_for_room(struct stream *stream)
{
	int fd = stream->wake_fd;
	uint64_t count;

	script_sleeps(WAIT_CLIENT);
	bh_block_enter();
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	bh_block_leave();
}

int stream_write(struct stream *stream, const char *bytes, size_t size)
{
	while (size) {
		ssize_t nr;

		bh_hold();
		nr = put_some(stream, bytes, size);
		bh_release();
		if (nr < 0)
			return (int)nr;
		bytes += nr;
		size -= (size_t)nr;
		if (size)
			wait_for_room(stream);
	}
	return 0;
}

/* Once the stream has ended, the descriptor may be somebody else's. */
static void wake_writer_locked(struct stream *stream)
{
	uint64_t one = 1;

	if (stream->ended)
		return;
	while (write(stream->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void stream_end(struct stream *stream)
{
	bool is_waiting;

	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	is_waiting = stream->is_waiting;
	stream->is_waiting = false;
	pthread_mutex_unlock(&stream->lock);
	if (is_waiting)
		stream->on_data(stream->arg);
}

ssize_t stream_read(struct stream *stream, char *buffer, size_t size)
{
	bool is_end;
	size_t nr;

	pthread_mutex_lock(&stream->lock);
	nr = run_length(stream->tail, stream->head - stream->tail);
	if (nr > size)
		nr = size;
	memcpy(buffer, stream->ring + stream->tail % STREAM_ROOM, nr);
	stream->tail += nr;
	if (!nr && !stream->ended) {
		stream->on_empty(stream->arg);
		stream->is_waiting = true;
	}
	if (nr)
		wake_writer_locked(stream);
	is_end = !nr && stream->ended;
	pthread_mutex_unlock(&stream->lock);
	return is_end ? -1 : (ssize_t)nr;
}

void stream_leave(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->gone = true;
	wake_writer_locked(stream);
	pthread_mutex_unlock(&stream->lock);
}
