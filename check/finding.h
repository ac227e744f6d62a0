/* SPDX-License-Identifier: MIT */
/*
 * The words of a session: points, classes, findings. Filled by plan, classify and group;
 * read by everything that prints.
 */
#ifndef BHI_CHECK_FINDING_H
#define BHI_CHECK_FINDING_H

#include <stddef.h>

#include "run.h"

/* Worst first. */
enum bhi_check_class {
	BHI_CHECK_CORRUPTION, /* memory corruption */
	BHI_CHECK_CRASH,
	BHI_CHECK_REPORTER_CRASH, /* inside the program's own out-of-memory reporter */
	BHI_CHECK_DEADLOCK,
	BHI_CHECK_BUSY_HANG,
	BHI_CHECK_RUNAWAY_OUTPUT,
	BHI_CHECK_WRONG_SILENT, /* status as clean, other stdout or files, stderr as clean
				 */
	BHI_CHECK_WRONG_MESSAGE, /* the same with something on stderr */
	BHI_CHECK_LEAK,          /* more left than after the clean run */
	BHI_CHECK_LOCK_HELD,
	BHI_CHECK_SILENT_ERROR, /* other status, nothing on stderr */
	BHI_CHECK_POLICY_ABORT, /* the program's declared way of ending */
	BHI_CHECK_HANDLED,      /* other status and a message */
	BHI_CHECK_ABSORBED,     /* no difference was seen */
	BHI_CHECK_UNREACHED,    /* the point was not met: no verdict */
	BHI_CHECK_NR_CLASSES,
};

/* "memory-corruption", as options, JSON and suppressions write it. */
/* Context: any. */
const char *bhi_check_class_name(enum bhi_check_class class);
/* -1: none is called so. Context: any. */
int bhi_check_class_parse(const char *name);
/* It did not end by itself. Context: any. */
bool bhi_check_is_hang(enum bhi_check_class class);
/* What becomes a finding: all but what was handled, absorbed or not reached. Context:
 * any. */
bool bhi_check_class_is_finding(enum bhi_check_class class);
/* "malloc". Context: any. */
const char *bhi_check_function_name(enum bhi_check_function function);

/* A frame for people. Strings belong to the session's symbol table. */
struct bhi_check_place {
	const char *module;   /* base name: "libc.so.6" */
	const char *path;     /* of the module */
	uint64_t offset;      /* in the module: of the instruction after the call */
	const char *function; /* NULL: no symbol */
	uint64_t function_offset;
	/* The same from the module's own file alone, and without versions: it does not
	 * depend on which debug packages are installed. For keys. */
	const char *own_function;
	uint64_t own_offset;
	const char *file; /* NULL: no line information */
	unsigned line;
	const char *build_id; /* hex, or "" */
};

/* "strdup", or "libc.so.6+0x134c4d" without a symbol, into @buf. Context: any. */
const char *bhi_check_place_name(
	const struct bhi_check_place *place, char *buf, size_t size);

struct bhi_check_backtrace {
	struct bhi_check_place *places;
	size_t nr;
};

/* One injection and what came of it. */
struct bhi_check_test {
	uint64_t stack; /* hash */
	uint64_t occurrence;
	enum bhi_check_function function;
	uint64_t size; /* bytes asked for */
	struct bhi_check_backtrace injected;
	enum bhi_check_class class;
	struct bhi_check_backtrace crash; /* nr 0: none was captured */
	int signal;                       /* 0: none */
	uint64_t address;
	int status; /* exit status; 128 and its number if a signal ended it that is no
		       crash */
	char *difference; /* the first difference of the output for people, or NULL */
	char *message; /* the first line on stderr that the clean run has not, or NULL */
	uint64_t leaked_bytes, leaked_blocks;
	uint64_t key;   /* hash of the root cause: equal ones are one finding; 0 none */
	size_t finding; /* index in the session, or SIZE_MAX */
};

struct bhi_check_finding {
	char id[32]; /* "crash-5f3a9c10": the class and 8 figures of its key's hash */
	enum bhi_check_class class;
	const struct bhi_check_test *example; /* the worst of .tests to start from */
	size_t *tests;                        /* indices in the session */
	size_t nr_tests;
	size_t nr_stacks;   /* distinct injection stacks */
	uint64_t nr_calls;  /* calls of the clean run that have these stacks */
	const char *module; /* it is attributed to */
	/* The place of the root cause, in a backtrace of .example; NULL: not known. */
	const struct bhi_check_place *site;
	char *title; /* one line: "SIGSEGV in raxSize when malloc in raxNew fails" */
	bool is_suppressed;
	const char *suppressed_by; /* the reason, or NULL */
	bool is_known;             /* in the baseline */
};

/* A distinct stack of the clean run. */
struct bhi_check_point_stack {
	uint64_t hash;
	struct bhi_check_backtrace trace;
	uint64_t nr_calls;
	uint64_t first_call;
	uint64_t size;
	uint32_t functions;
	uint64_t nr_tested;
	enum bhi_check_class worst; /* BHI_CHECK_NR_CLASSES: not tested */
	/* The first frame as orders name it. */
	uint32_t caller_module;
	uint64_t caller_offset;
};

struct bhi_check_session {
	char *const *command;
	const char *mode; /* "once", "burst=3", "persistent", "pages" */
	/* Options that make the same point another test, as a shell reads them: "--mode
	 * pages --stdin a.txt"; "" without any. */
	const char *given;
	struct bhi_check_point_stack *stacks;
	size_t nr_stacks;
	struct bhi_check_test *tests;
	size_t nr_tests;
	struct bhi_check_finding *findings; /* worst first */
	size_t nr_findings;
	bool has_baseline; /* .is_known of them means something */
	uint64_t nr_calls;
	uint64_t nr_points; /* planned; those without a test were left out */
	/* Mode pages: of the loader, and of the C library for itself; not tested */
	uint64_t nr_loader_calls, nr_other_calls;
	uint64_t nr_runs;        /* injected runs, repeats included */
	uint64_t nr_copies;      /* of them, with --fast */
	const char *copy_reason; /* what was in the way of more; NULL: nothing */
	uint64_t nr_left_out;    /* points of a site that hung again and again */
	uint64_t nr_unconfirmed; /* outcomes that a repetition did not show again */
	uint64_t nr_by_class[BHI_CHECK_NR_CLASSES]; /* tests */
	char **instabilities; /* sentences: in what the clean run is not deterministic */
	size_t nr_instabilities;
	uint64_t wall_ns, clean_cpu_ns, clean_wall_ns;
	int clean_status;
	bool was_interrupted;
	bool ran_out_of_budget;
	enum bhi_check_class fail_on; /* this class and worse ones give exit 1 */
};

#endif
