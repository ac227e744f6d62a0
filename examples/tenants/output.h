/* SPDX-License-Identifier: MIT */
/*
 * What a script writes. print() is collected and is the answer when the script has ended;
 * emit() goes to the client at once, through a ring that the script waits for when the
 * client does not read.
 *
 * Both are shared memory, charged to the tenant: they outlive the task. Every function
 * that the script's side calls may be called inside a task and takes private memory.
 */
#ifndef TENANTS_OUTPUT_H
#define TENANTS_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <bulkhead.h>

struct output {
	struct bh_group *group; /* NULL: malloc(3), for processes */
	char *text;
	size_t size, room, max;
};

/* 0; -E2BIG over output->max; -ENOMEM. May be unwound. */
int output_add(struct output *output, const char *bytes, size_t size);
void output_fini(struct output *output);

#define STREAM_ROOM ((size_t)64 * 1024)

struct stream {
	/* immutable after init */
	int wake_fd; /* an eventfd: there is room, or the reader is gone, or a kill */
	void (*on_empty)(void *arg); /* the reader found nothing; .lock is held */
	void (*on_data)(void *arg);  /* afterwards: there is something again */
	void *arg;

	pthread_mutex_t lock;

	/* protected by .lock */
	size_t head, tail; /* bytes written and read since the start */
	bool ended, gone;  /* no more will be written; nobody will read */
	bool is_waiting;   /* the reader wants on_data() */
	char ring[STREAM_ROOM];
};

/* NULL when the group is full. */
struct stream *stream_new(struct bh_group *group, int wake_fd,
	void (*on_empty)(void *arg), void (*on_data)(void *arg), void *arg);
void stream_free(struct stream *stream);

/* Write all of it, waiting for the reader as long as it takes. 0; -EPIPE when the reader
 * is gone. May be unwound. */
int stream_write(struct stream *stream, const char *bytes, size_t size);

/* No more will come. */
void stream_end(struct stream *stream);

/* The reader's side: how many bytes were copied; 0: none yet, on_empty() was called
 * and on_data() will be; -1: the end. */
ssize_t stream_read(struct stream *stream, char *buffer, size_t size);

/* Nobody will read: the writer is woken. */
void stream_leave(struct stream *stream);

#endif
