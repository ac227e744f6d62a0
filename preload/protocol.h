/* SPDX-License-Identifier: MIT */
/*
 * What `bulkhead check` and its interposer say to each other: one file, named by the
 * environment, mapped shared by the runner and by every process of the subject that is
 * followed. The runner writes the order before it starts the subject; the subject writes
 * the rest, with atomics only, since its threads and children write together and any of
 * them may die in the middle.
 *
 * A *stack* is a whole call stack above the allocation function, each frame as a module
 * and an offset in it; its hash is made of the modules' base names and the offsets, so it
 * is the same under address space randomisation and in another environment. A *point* is
 * (stack, occurrence): the k-th call with that stack, counted from 1. The number of the
 * call in the whole run is no more than a hint, which makes finding the point cheap: the
 * stack is captured at that call, and when it is another one the run says "drifted" and
 * the runner repeats it without the hint.
 *
 * The file is sparse: what is not written costs nothing.
 */
#ifndef BHI_PRELOAD_PROTOCOL_H
#define BHI_PRELOAD_PROTOCOL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* The shared file; the interposer keeps still without it. */
#define BHI_CHECK_ENV      "BULKHEAD_CHECK"
/* Set for the subject and left there: a person who finds a core or a log sees that the
 * failure was made ("jq-5f3a..., call 17 of malloc"). */
#define BHI_CHECK_MARK_ENV "BULKHEAD_INJECTED"

/* The runner sends it to a thread to ask where that is; nothing else uses it. */
#define BHI_CHECK_ASK_SIGNAL SIGSTKFLT

#define BHI_CHECK_MAGIC   0x6268636b
#define BHI_CHECK_VERSION 4

#define BHI_CHECK_MAX_DEPTH   256 /* frames of a stack; deeper ones are cut, and say so */
#define BHI_CHECK_MAX_STACKS  (1u << 16)
#define BHI_CHECK_MAX_MODULES 1024
#define BHI_CHECK_MAX_FRAMES  (1u << 22)
#define BHI_CHECK_MAX_CALLS   (1u << 24) /* calls beyond have no entry in .calls */
#define BHI_CHECK_NR_WINDOWS  (1u << 12)

enum bhi_check_function {
	BHI_CHECK_MALLOC,
	BHI_CHECK_CALLOC,
	BHI_CHECK_REALLOC,
	BHI_CHECK_REALLOCARRAY,
	BHI_CHECK_POSIX_MEMALIGN,
	BHI_CHECK_ALIGNED_ALLOC,
	BHI_CHECK_MEMALIGN,
	BHI_CHECK_VALLOC,
	BHI_CHECK_PVALLOC,
	BHI_CHECK_NEW, /* operator new where it is not made of malloc; throws */
	BHI_CHECK_NEW_NOTHROW,
	BHI_CHECK_MMAP, /* and below: system calls, in mode pages only */
	BHI_CHECK_MREMAP,
	BHI_CHECK_BRK,
	BHI_CHECK_NR_FUNCTIONS,
};

enum bhi_check_action {
	BHI_CHECK_RECORD, /* capture the stack of each call */
	BHI_CHECK_COUNT,  /* count calls and nothing else: what the interposer costs */
	BHI_CHECK_INJECT,
	BHI_CHECK_SETTINGS, /* as .settings say; only the stacks of what fails are kept */
	BHI_CHECK_COPY,     /* nothing fails here; copies are made as .copies say */
};

/* The text that `bulkhead fail` hands on, with its final 0. */
#define BHI_CHECK_SETTINGS_SIZE 4096

/* module << 48 | offset; the first frame is the caller of the allocation function. An
 * address in no module is module BHI_CHECK_NO_MODULE with offset 0. */
typedef uint64_t bhi_check_frame;
#define BHI_CHECK_NO_MODULE 0xffff

struct bhi_check_module {
	uint32_t state; /* atomic: 0 free, 1 being written, 2 valid */
	uint32_t name_hash;
	uint64_t base; /* in the process that saw it first */
	uint64_t size;
	uint8_t build_id[20];
	uint32_t build_id_len;
	char path[256];
};

struct bhi_check_stack {
	uint64_t hash;        /* atomic: 0 free, 1 being written; written last */
	uint32_t first_frame; /* in .frames */
	uint32_t nr_frames;
	uint32_t nr_calls;   /* atomic */
	uint32_t functions;  /* atomic; 1 << enum bhi_check_function */
	uint64_t first_call; /* its number in the run, from 1 */
	uint64_t size;       /* bytes asked for by the first call */
	uint32_t is_cut;     /* more than BHI_CHECK_MAX_DEPTH frames */
	uint32_t thread;     /* 0: the main thread saw it first */
};

/* A stack that is kept outside the table: of the injection, of a crash. */
struct bhi_check_trace {
	uint32_t state; /* atomic: 0 none, 1 being written, 2 valid */
	uint32_t nr_frames;
	bhi_check_frame frames[BHI_CHECK_MAX_DEPTH];
	/* The frame's canonical frame address, to see which frames are the same ones. */
	uint64_t cfa[BHI_CHECK_MAX_DEPTH];
};

/* Written by the runner before the start. */
struct bhi_check_order {
	uint32_t action;
	uint32_t persistent;      /* and all later calls */
	uint64_t stack;           /* hash */
	uint64_t occurrence;      /* from 1 */
	uint64_t call;            /* hint: number of the call in the run; 0 none */
	uint64_t burst;           /* calls refused from there on, at least 1 */
	uint32_t follow_children; /* fork and exec keep it up; else children are left
				     alone */
	uint32_t stop_at_point;   /* raise SIGTRAP at the failing call, for --gdb */
	uint32_t pages;           /* calls are those for pages, see bhi_check_window */
	/* Where the target's first frame is, so that only calls from there are captured
	 * when there is no hint: .name_hash of its module, 0 not known; and the offset.
	 */
	uint32_t caller_module;
	uint64_t caller_offset;
};

struct bhi_check_crash {
	/* atomic: 0 none, 1 being written, 2 valid; the first one stays. A crash that
	 * ends the walk of its own stack leaves 1, and what .trace has is right. */
	uint32_t state;
	int32_t signal;
	int32_t code;             /* si_code */
	uint32_t program_handles; /* the program had a handler of its own for it */
	uint32_t asked;           /* the runner sent it, to see where the subject hangs */
	uint64_t address;         /* si_addr */
	struct bhi_check_trace trace;
};

enum bhi_check_watch {
	BHI_CHECK_WATCH_COUNT,
	BHI_CHECK_WATCH_POINT,  /* its stack is the order's, or will be compared */
	BHI_CHECK_WATCH_BENIGN, /* the same, but its owner wants it left alone */
	BHI_CHECK_WATCH_OWN,    /* the interposer asks, for itself */
};

/*
 * A call into the C library, or into the allocator, during which a thread may ask the
 * system for pages; in mode pages such a call that does is what is counted, recorded and
 * refused. The thread opens it, at the place of its number; it is stopped in the system
 * call while the runner reads and writes here. Plain words are enough, since one of the
 * two waits for the other.
 */
struct bhi_check_window {
	uint32_t tid;           /* atomic; 0: the place is free */
	uint32_t watch;         /* enum bhi_check_watch */
	uint32_t function;      /* of the first page call */
	uint32_t nr_calls;      /* page calls since it was opened */
	uint32_t nr_refused;    /* of them; all that follow the first one are */
	uint64_t call;          /* its number, given at the first page call */
	uint64_t size;          /* bytes the first page call asks for */
	uint64_t break_address; /* of the C library's copy of the break; 0 not known */
};

/*
 * Copies of a run. The subject goes on as if nothing failed; where it comes to one of
 * .points it is copied, the call fails in the copy, and it waits until the copy has ended
 * and what the copy may have left behind in what they share is put right: offsets of open
 * files by the subject, the output and this file by the runner. .state is a futex, and
 * says whose turn it is:
 *
 *	ASKED    subject to runner: at point .at, and nothing is in the way
 *	GRANTED  runner to subject: .order and .mark are the copy's
 *	MADE     subject to runner: the copy is .pid, the runner's child as it is itself
 *	OVER     runner to subject: it has ended, and all is as it was; or, after ASKED,
 *	         no copy is wanted here
 *	REFUSED  either to the other: no copies from point .at on, for .reason
 *	ENDED    subject to runner: no more points will come
 */
enum bhi_check_copy_state {
	BHI_CHECK_COPY_NONE,
	BHI_CHECK_COPY_ASKED,
	BHI_CHECK_COPY_GRANTED,
	BHI_CHECK_COPY_MADE,
	BHI_CHECK_COPY_OVER,
	BHI_CHECK_COPY_REFUSED,
	BHI_CHECK_COPY_ENDED,
};

/* What a copy would not have as the subject has it, or would change for it. */
enum bhi_check_copy_reason {
	BHI_CHECK_COPY_SOUND,
	BHI_CHECK_COPY_THREADS,
	BHI_CHECK_COPY_CHILDREN,
	BHI_CHECK_COPY_MEMORY, /* shared and writable */
	BHI_CHECK_COPY_FILES,  /* open for writing, or too many */
	BHI_CHECK_COPY_OTHERS, /* descriptors that are no files: pipes, sockets... */
	BHI_CHECK_COPY_LOCKS,  /* on files */
	BHI_CHECK_COPY_TIMERS,
	BHI_CHECK_COPY_FAILED, /* the system did not make one */
	BHI_CHECK_COPY_LEFT,   /* what an earlier one left; the runner's word */
	BHI_CHECK_COPY_NR_REASONS,
};

#define BHI_CHECK_MAX_COPIES 256
#define BHI_CHECK_MARK_SIZE  160

struct bhi_check_copy_point {
	uint64_t stack; /* hash */
	uint64_t call;  /* ascending */
};

struct bhi_check_copies {
	/* written by the runner before the start */
	uint32_t nr_points;
	struct bhi_check_copy_point points[BHI_CHECK_MAX_COPIES];
	/* The files that take the output: standard output and error. */
	uint64_t output_devices[2], output_inodes[2];
	/* Written by the side whose turn it is. */
	uint32_t state; /* atomic */
	uint32_t at;
	int32_t pid;
	uint32_t reason;
	char mark[BHI_CHECK_MARK_SIZE]; /* as in the environment */
};

struct bhi_check_shared {
	uint32_t magic;
	uint32_t version;
	struct bhi_check_order order;
	/* With BHI_CHECK_SETTINGS, written by the runner before the start: those of fault
	 * injection, and the fail-nth of the first thread, 0: none. */
	char settings[BHI_CHECK_SETTINGS_SIZE];
	uint32_t settings_nth;
	/* The first process could not use them, and ended: why, "" otherwise; and the
	 * byte of the text. */
	uint32_t refused_at;
	char refused[128];
	struct bhi_check_copies copies;

	/* atomic, written by the subject; from here to .nr_modules it is put back after a
	 * copy */
	uint32_t started; /* the constructor ran, in the first process */
	int32_t first_pid;
	uint64_t nr_calls; /* eligible calls, all followed processes */
	uint64_t nr_injected;
	uint64_t nr_met;    /* calls with the order's stack, while there is no hint */
	uint64_t nr_benign; /* injections left out in bulkhead_benign_begin/end */
	uint32_t nr_policy_aborts; /* bulkhead_policy_abort() was called */
	uint32_t drifted;          /* the hinted call had another stack */
	uint32_t nr_threads;       /* created */
	uint32_t nr_execs;
	uint32_t overflow; /* a table was full: bit 0 stacks, 1 frames, 2 modules, 3 calls
			    */
	/* Of the first process when it ended by exit() or _exit() */
	uint32_t exit_seen;
	uint32_t locks_held; /* pthread mutexes and rwlocks that were held */
	int64_t live_blocks;
	int64_t live_bytes;

	uint64_t loader_size; /* of what is mapped of it; all processes have the same */
	/* Written by the runner: page calls of the first process outside all windows */
	uint64_t nr_loader_pages; /* of the loader */
	uint64_t nr_other_pages;

	struct bhi_check_trace injected; /* of the first injected call */
	uint32_t injected_function;
	uint32_t injected_tid;
	uint64_t injected_call; /* its number */
	uint64_t injected_size;
	struct bhi_check_crash crash;

	uint32_t nr_modules;                                   /* atomic */
	uint32_t nr_frames;                                    /* atomic */
	struct bhi_check_window windows[BHI_CHECK_NR_WINDOWS]; /* thread % their number */
	struct bhi_check_module modules[BHI_CHECK_MAX_MODULES];
	/* Open addressing by hash. */
	struct bhi_check_stack stacks[BHI_CHECK_MAX_STACKS];
	bhi_check_frame frames[BHI_CHECK_MAX_FRAMES];
	/* Call number - 1 to the stack's place in .stacks, plus 1; 0 unknown. */
	uint32_t calls[BHI_CHECK_MAX_CALLS];
};

#endif
