/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#undef _tcase_add_test

/* Exit status that the build takes for "skipped". */
#define EXIT_SKIPPED 77

/* A test that waits for ever is ended after this many seconds. */
#define TIMEOUT "60"

static struct {
	const char *suite_name;
	const char *wanted; /* one test, a suite, or NULL for all */
	int nr_added;
	char base[64]; /* every support_dir() is below it */
} state;

void support_add_test(
	TCase *tcase, const TTest *test, int signal, int exit_value, int start, int end)
{
	if (state.wanted && strcmp(state.wanted, test->name) &&
		strcmp(state.wanted, state.suite_name))
		return;
	state.nr_added++;
	_tcase_add_test(tcase, test, signal, exit_value, start, end);
}

static int remove_one(
	const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

bool support_has_uffd(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	bool has = fd >= 0 && !ioctl(fd, UFFDIO_API, &api);

	if (fd >= 0)
		close(fd);
	return has;
}

static const char *skipped_path(void)
{
	static char path[sizeof(state.base) + 16];

	snprintf(path, sizeof(path), "%s/skipped", state.base);
	return path;
}

/* A line for each test that was skipped: the runner is another process. */
void support_skip(const char *reason)
{
	int fd = open(skipped_path(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(dprintf(fd, "%s\n", reason), 0);
	close(fd);
	/* Which Check takes for the end of a test. */
	exit(EXIT_SUCCESS);
}

/* How many tests were skipped; says so, and why the last one was. */
static int report_skipped(void)
{
	FILE *file = fopen(skipped_path(), "re");
	char reason[256] = "";
	int nr = 0;

	if (!file)
		return 0;
	while (fgets(reason, sizeof(reason), file))
		nr++;
	fclose(file);
	printf("%s: %d tests skipped: %s", state.suite_name, nr, reason);
	return nr;
}

/* The build runs some programs once with each backend. */
static bool has_wanted_backend(void)
{
	const char *wanted = getenv("BULKHEAD_PAGEFAULT");

	if (!wanted || strcmp(wanted, "uffd") || support_has_uffd())
		return true;
	printf("%s: skipped: " SUPPORT_NO_UFFD "\n", state.suite_name);
	return false;
}

static int run(const char *suite_name, void (*add)(TCase *))
{
	Suite *suite = suite_create(suite_name);
	TCase *tcase = tcase_create(suite_name);
	SRunner *runner;
	int nr_failed;

	suite_add_tcase(suite, tcase);
	add(tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (nr_failed)
		return EXIT_FAILURE;
	return report_skipped() || !state.nr_added ? EXIT_SKIPPED : EXIT_SUCCESS;
}

int support_run(const char *suite_name, void (*add)(TCase *))
{
	const char *tmp = getenv("TMPDIR");
	static char wanted[256];
	int r;

	if (getenv("CK_RUN_CASE")) {
		snprintf(wanted, sizeof(wanted), "%s", getenv("CK_RUN_CASE"));
		state.wanted = wanted;
		/* The only TCase has the name of the suite. */
		unsetenv("CK_RUN_CASE");
	}
	state.suite_name = suite_name;
	if (!has_wanted_backend())
		return EXIT_SKIPPED;
	setenv("CK_DEFAULT_TIMEOUT", TIMEOUT, 0);
	snprintf(state.base, sizeof(state.base), "%s/bulkhead-test-XXXXXX",
		tmp && strlen(tmp) < 32 ? tmp : "/tmp");
	if (!mkdtemp(state.base)) {
		perror(state.base);
		return EXIT_FAILURE;
	}
	r = run(suite_name, add);
	nftw(state.base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return r;
}

const char *support_dir(void)
{
	static char path[sizeof(state.base) + 16];

	snprintf(path, sizeof(path), "%s/XXXXXX", state.base);
	ck_assert_msg(mkdtemp(path) != NULL, "%s: %s", path, strerror(errno));
	return path;
}

void support_write_file(const char *dir, const char *path, const char *text)
{
	char full[PATH_MAX];
	size_t size = strlen(text);
	int fd;

	ck_assert_uint_lt(
		(size_t)snprintf(full, sizeof(full), "%s/%s", dir, path), sizeof(full));
	for (char *p = full + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		ck_assert(!mkdir(full, 0700) || errno == EEXIST);
		*p = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_msg(fd >= 0, "%s: %s", full, strerror(errno));
	while (size) {
		ssize_t n = write(fd, text, size);

		ck_assert_int_gt(n, 0);
		text += n;
		size -= (size_t)n;
	}
	close(fd);
}

static char *read_all(int fd)
{
	size_t len = 0, size = 4096;
	char *text = malloc(size);
	ssize_t n;

	ck_assert_ptr_nonnull(text);
	while ((n = pread(fd, text + len, size - len - 1, (off_t)len)) > 0) {
		len += (size_t)n;
		if (len + 1 < size)
			continue;
		size *= 2;
		text = realloc(text, size);
		ck_assert_ptr_nonnull(text);
	}
	ck_assert_int_eq(n, 0);
	text[len] = '\0';
	return text;
}

char *support_read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	text = read_all(fd);
	close(fd);
	return text;
}

static int open_unnamed(void)
{
	int fd = open(state.base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[sizeof(state.base) + 16];

	if (fd >= 0)
		return fd;
	/* Not every file system has files without a name. */
	snprintf(path, sizeof(path), "%s/XXXXXX", state.base);
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

/*
 * Not _exit(): coverage is written at exit. Except under AddressSanitizer: at exit it
 * takes a lock that a thread that was just starting may have held at the fork, and waits
 * for ever.
 */
static void leave_child(void)
{
#ifdef __SANITIZE_ADDRESS__
	fflush(NULL);
	_exit(0);
#else
	exit(0);
#endif
}

void support_capture(void (*fn)(void *arg), void *arg, struct support_output *ret)
{
	int out = open_unnamed(), err = open_unnamed();
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (dup2(out, 1) < 0 || dup2(err, 2) < 0)
			_exit(126);
		fn(arg);
		leave_child();
	}
	ck_assert_int_eq(waitpid(pid, &ret->status, 0), pid);
	ret->out = read_all(out);
	ret->err = read_all(err);
	close(out);
	close(err);
}

void support_output_fini(struct support_output *output)
{
	free(output->out);
	free(output->err);
}

int support_exit_status(const struct support_output *output)
{
	return WIFEXITED(output->status) ? WEXITSTATUS(output->status) : -1;
}

bool support_contains(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

int support_count_lines(const char *text)
{
	size_t len = strlen(text);
	int nr = 0;

	if (len && text[len - 1] != '\n')
		return -1;
	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}
