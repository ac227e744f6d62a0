/* SPDX-License-Identifier: MIT */
/* Programs with several causes each, for whole sessions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *name;

static void memory_exhausted(void)
{
	fputs("subject: memory exhausted\n", stderr);
	abort();
}

static void *must_malloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		memory_exhausted();
	return p;
}

/* The result is used elsewhere, by two callers. */
static void set_name(const char *text)
{
	free(name);
	name = malloc(strlen(text) + 1);
	if (name)
		strcpy(name, text);
}

static void print_name(void)
{
	printf("%c\n", name[0]);
}

static void first_caller(void)
{
	set_name("first");
	print_name();
}

static void second_caller(void)
{
	set_name("second");
	print_name();
}

/* Want of memory is taken for "not found". */
static void find(void)
{
	char *copy = malloc(20);

	if (copy)
		puts("found");
	free(copy);
}

static int handled(void)
{
	void *p = malloc(30);

	if (!p) {
		perror("subject");
		return 1;
	}
	free(p);
	return 0;
}

static int mixed(void)
{
	first_caller();
	second_caller();
	find();
	for (int i = 0; i < 3; i++)
		free(must_malloc(40));
	return handled();
}

static int clean(void)
{
	free(malloc(50));
	return handled();
}

/* Only the last of ten calls is not looked at. */
static int last(void)
{
	for (int i = 0; i < 10; i++) {
		char *volatile p = malloc(60);

		if (i == 9)
			p[0] = 'x';
		free(p);
	}
	return 0;
}

/* Other output each time, and for once only other output for want of memory. */
static int unstable(void)
{
	printf("process %d starts\n", (int)getpid());
	find();
	return handled();
}

/* Both calls of one site hang. */
static int hang(void)
{
	for (int i = 0; i < 2; i++) {
		void *p = malloc(70);

		while (!p)
			;
		free(p);
	}
	return 0;
}

static int hang_afterwards(void)
{
	return handled() || hang();
}

static const struct {
	const char *name;
	int (*run)(void);
} programs[] = {
	{"mixed", mixed},
	{"clean", clean},
	{"last", last},
	{"unstable", unstable},
	{"hang", hang},
	{"hang-afterwards", hang_afterwards},
};

int main(int argc, char **argv)
{
	static char buffer[4096];

	/* Nothing but the subject allocates. */
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (argc == 2 && !strcmp(argv[1], programs[i].name))
			return programs[i].run();
	}
	return 2;
}
