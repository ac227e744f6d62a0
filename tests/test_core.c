/* SPDX-License-Identifier: MIT */
/*
 * A crash that is not the library's dumps core as it would without it: at the instruction
 * that crashed, with the memory that tasks have, and without the address space that
 * nobody has.
 *
 * What the machine does with cores is asked of a process that crashes without the
 * library. If it makes none, these tests are skipped; if it puts them where nobody finds
 * them, only that one was made is looked at. Either is said.
 */
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "private.h"

/* What the front of the window and the tables of the library may add; a window takes
 * minutes. */
#define MOST_DUMPED (2048 * MIB)

#define MAGIC "what the task had when it crashed"

/* Where a signal comes from. */
enum cause {
	BY_ADDRESS, /* a SIGSEGV of an address where nothing is */
	BY_FILE,    /* a SIGBUS behind the end of a file */
	NR_CAUSES,
};

static const int signals[] = {SIGSEGV, SIGBUS};

static void look_and_return(int sig)
{
	signal(sig, SIG_DFL);
}

/* What was there before the library: the last is a handler that leaves the dump to the
 * kernel. */
static void (*const handlers[])(int) = {SIG_DFL, SIG_IGN, look_and_return};

#define NR_HANDLERS 3

#define NR_WAYS (NR_BACKENDS * NR_CAUSES * 2 * NR_HANDLERS)

static struct {
	int backend;
	enum cause cause;
	bool inside;
	void (*handler)(int);
} way;

/* Said by the child, for the parent: its memory. */
static struct {
	const char *private;
	char *wild;
} * shared;

extern char crashing_store[];

#if defined(__x86_64__)
__attribute__((noinline)) static void crash_at(char *address)
{
	__asm__ volatile(".globl crashing_store\n"
			 "crashing_store: movb $0, (%0)\n" ::"r"(address)
			 : "memory");
}

static uintptr_t pc_of(const struct user_regs_struct *regs)
{
	return regs->rip;
}
#elif defined(__aarch64__)
__attribute__((noinline)) static void crash_at(char *address)
{
	__asm__ volatile(".globl crashing_store\n"
			 "crashing_store: strb wzr, [%0]\n" ::"r"(address)
			 : "memory");
}

static uintptr_t pc_of(const struct user_regs_struct *regs)
{
	return regs->pc;
}
#endif

/* Cores */

static bool read_at(int fd, void *buf, size_t size, uint64_t offset)
{
	return pread(fd, buf, size, (off_t)offset) == (ssize_t)size;
}

static bool is_core(int fd, Elf64_Ehdr *ret)
{
	return read_at(fd, ret, sizeof(*ret), 0) &&
	       !memcmp(ret->e_ident, ELFMAG, SELFMAG) && ret->e_type == ET_CORE;
}

static bool read_segment(int fd, const Elf64_Ehdr *ehdr, unsigned i, Elf64_Phdr *ret)
{
	return i < ehdr->e_phnum &&
	       read_at(fd, ret, sizeof(*ret), ehdr->e_phoff + i * sizeof(*ret));
}

static size_t round4(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* The first of the notes of a kind: of threads, it is the one that crashed. */
static bool find_note(
	int fd, const Elf64_Phdr *notes, unsigned type, void *buf, size_t size)
{
	uint64_t at = notes->p_offset, end = at + notes->p_filesz;
	Elf64_Nhdr note;

	while (at + sizeof(note) <= end && read_at(fd, &note, sizeof(note), at)) {
		at += sizeof(note) + round4(note.n_namesz);
		if (note.n_type == type && note.n_descsz >= size)
			return read_at(fd, buf, size, at);
		at += round4(note.n_descsz);
	}
	return false;
}

static bool read_status(int fd, struct elf_prstatus *ret)
{
	Elf64_Ehdr ehdr;
	Elf64_Phdr segment;

	if (!is_core(fd, &ehdr))
		return false;
	for (unsigned i = 0; read_segment(fd, &ehdr, i, &segment); i++) {
		if (segment.p_type == PT_NOTE)
			return find_note(fd, &segment, NT_PRSTATUS, ret, sizeof(*ret));
	}
	return false;
}

/* The core of @pid, which is taken out of @dir; -1: there is none. */
static int take_core(const char *dir_path, pid_t pid)
{
	DIR *dir = opendir(dir_path);
	struct elf_prstatus status;
	struct dirent *entry;
	int found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		int fd = openat(dirfd(dir), entry->d_name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (read_status(fd, &status) && status.pr_pid == pid) {
			found = fd;
			unlinkat(dirfd(dir), entry->d_name, 0);
		} else {
			close(fd);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The directory that the system's pattern names, or ""; it may be any but a pipe. */
static void pattern_dir(char *buf, size_t size)
{
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	char *slash;

	if (!file || !fgets(buf, (int)size, file))
		buf[0] = '\0';
	if (file)
		fclose(file);
	slash = strrchr(buf, '/');
	if (buf[0] != '/' || !slash)
		buf[0] = '\0';
	else
		slash[1] = '\0';
}

/* Crashes */

static char *wild_address(void)
{
	FILE *file = way.cause == BY_FILE ? tmpfile() : NULL;
	char *p = mmap(NULL, 4096, file ? PROT_READ | PROT_WRITE : PROT_NONE,
		file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file ? fileno(file) : -1,
		0);

	if (p == MAP_FAILED)
		_exit(98);
	return p;
}

static int crash_inside(void *arg)
{
	char *p = bh_map(MIB, 0);

	memcpy(p + 5000, MAGIC, sizeof(MAGIC));
	shared->private = p + 5000;
	crash_at(arg);
	return 0;
}

static void crash(bool with_library)
{
	signal(signals[way.cause], way.handler);
	shared->wild = wild_address();
	if (!with_library)
		crash_at(shared->wild);
	if (way.backend)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	setenv("BULKHEAD_SIZE", "64M", 1);
	if (bh_init(NULL))
		_exit(97);
	if (way.inside)
		bh_task_run(NULL, NULL, crash_inside, shared->wild, NULL);
	else
		crash_at(shared->wild);
}

struct crash {
	int status; /* of the process */
	int core;   /* its core, open; -1: not found */
};

/* In @cwd. Also called where there is no test: it asserts nothing. */
static struct crash run_crash(const char *cwd, bool with_library)
{
	char elsewhere[PATH_MAX];
	struct crash crashed = {.core = -1};
	struct rlimit limit;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		getrlimit(RLIMIT_CORE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_CORE, &limit);
		prctl(PR_SET_DUMPABLE, 1);
		if (!chdir(cwd))
			crash(with_library);
		_exit(99);
	}
	if (pid < 0 || waitpid(pid, &crashed.status, 0) != pid)
		return crashed;
	crashed.core = take_core(cwd, pid);
	pattern_dir(elsewhere, sizeof(elsewhere));
	if (crashed.core < 0 && elsewhere[0])
		crashed.core = take_core(elsewhere, pid);
	return crashed;
}

/* Whether the memory at @address is in the core, and what it is. */
static bool read_memory(int fd, const void *address, void *buf, size_t size)
{
	uintptr_t at = (uintptr_t)address;
	Elf64_Ehdr ehdr;
	Elf64_Phdr segment;

	ck_assert(is_core(fd, &ehdr));
	for (unsigned i = 0; read_segment(fd, &ehdr, i, &segment); i++) {
		if (segment.p_type == PT_LOAD && at >= segment.p_vaddr &&
			at + size <= segment.p_vaddr + segment.p_filesz)
			return read_at(
				fd, buf, size, segment.p_offset + at - segment.p_vaddr);
	}
	return false;
}

static struct crash crash_with_library(int i)
{
	way.backend = i % NR_BACKENDS;
	way.cause = (enum cause)(i / NR_BACKENDS % NR_CAUSES);
	way.inside = i / NR_BACKENDS / NR_CAUSES % 2;
	way.handler = handlers[i / NR_BACKENDS / NR_CAUSES / 2];
	return run_crash(support_dir(), true);
}

START_TEST(a_crash_dumps_core_at_the_instruction_that_crashed)
{
	struct crash crashed = crash_with_library(_i);
	struct elf_prstatus status;

	ck_assert(WIFSIGNALED(crashed.status));
	ck_assert_int_eq(WTERMSIG(crashed.status), signals[way.cause]);
	ck_assert(WCOREDUMP(crashed.status));
	if (crashed.core < 0)
		return;
	ck_assert(read_status(crashed.core, &status));
	ck_assert_int_eq(status.pr_cursig, signals[way.cause]);
	ck_assert_uint_eq(pc_of((const void *)&status.pr_reg), (uintptr_t)crashing_store);
	close(crashed.core);
}
END_TEST

START_TEST(a_core_has_the_memory_of_tasks_and_not_the_space_for_more)
{
	struct crash crashed = crash_with_library(NR_BACKENDS * NR_CAUSES + _i);
	char magic[sizeof(MAGIC)];
	struct stat file;

	ck_assert(way.inside && WCOREDUMP(crashed.status));
	ck_assert_int_eq(fstat(crashed.core, &file), 0);
	ck_assert_uint_lt((uint64_t)file.st_size, MOST_DUMPED);
	ck_assert(read_memory(crashed.core, shared->private, magic, sizeof(magic)));
	ck_assert_str_eq(magic, MAGIC);
	close(crashed.core);
}
END_TEST

enum cores {
	NO_CORES,
	HIDDEN_CORES,
	READABLE_CORES,
};

static enum cores ask_machine(void)
{
	char cwd[] = "/tmp/bulkhead-core-XXXXXX";
	struct crash crashed = {.core = -1};

	if (mkdtemp(cwd)) {
		crashed = run_crash(cwd, false);
		rmdir(cwd);
	}
	if (!WIFSIGNALED(crashed.status) || !WCOREDUMP(crashed.status))
		return NO_CORES;
	if (crashed.core < 0)
		return HIDDEN_CORES;
	close(crashed.core);
	return READABLE_CORES;
}

static void add(TCase *tcase)
{
	enum cores cores = ask_machine();

	if (cores == NO_CORES)
		printf("core: skipped: a process that crashes here dumps no core\n");
	if (cores == HIDDEN_CORES)
		printf("core: not shown: what is in cores; core_pattern puts them where "
		       "they are not found\n");
	if (cores != NO_CORES)
		tcase_add_loop_test(tcase,
			a_crash_dumps_core_at_the_instruction_that_crashed, 0, NR_WAYS);
	if (cores == READABLE_CORES)
		tcase_add_loop_test(tcase,
			a_core_has_the_memory_of_tasks_and_not_the_space_for_more, 0,
			NR_BACKENDS * NR_CAUSES);
}

int main(void)
{
	shared = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? EXIT_FAILURE : support_run("core", add);
}
