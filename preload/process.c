/* SPDX-License-Identifier: MIT */
/*
 * What replaces the program, starts another one, or ends it.
 *
 * The first process stays the subject when it executes something else, which therefore
 * gets our variables back, whatever environment it is given. When children are followed
 * so does everything else that is executed. Between vfork() and exec this runs in the
 * parent's memory: what it builds is on its own stack.
 */
#include <alloca.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <stdio.h>

#include "module.h"
#include "real.h"
#include "subject.h"

#define PRELOAD "LD_PRELOAD="

static bool is_ready(void)
{
	return bhi_load_acquire(&bhi_real.malloc) || bhi_subject_start();
}

static bool is_followed(void)
{
	if (!bhi_load(&bhi_subject.is_on))
		return false;
	return bhi_subject.follows || getpid() == bhi_subject.pid;
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool begins(const char *text, const char *beginning)
{
	return !strncmp(text, beginning, strlen(beginning));
}

/* Copy @environment to @ret, which has room for two more, without our variables. Gives
 * what LD_PRELOAD has beside this object, or NULL. */
static const char *copy_others(char *const *environment, char **ret, size_t *ret_nr)
{
	const char *own = bhi_subject_variable(1) + strlen(PRELOAD);
	const char *others = NULL;
	size_t nr = 0;

	for (; environment && *environment; environment++) {
		if (begins(*environment, PRELOAD)) {
			others = *environment + strlen(PRELOAD);
			if (begins(others, own))
				others += strlen(own);
			others += strspn(others, ": ");
		} else if (!begins(*environment, BHI_CHECK_ENV "=")) {
			ret[nr++] = *environment;
		}
	}
	*ret_nr = nr;
	return others && *others ? others : NULL;
}

/* @environment with our variables, on the caller's stack; itself when they are not
 * wanted. */
#define followed_environment(environment)                                               \
	({                                                                              \
		char *const *given_ = (environment);                                    \
		char **made_ = (char **)given_;                                         \
                                                                                        \
		if (is_followed()) {                                                    \
			size_t nr_;                                                     \
			const char *others_;                                            \
			char *preload_ = (char *)bhi_subject_variable(1);               \
                                                                                        \
			made_ = alloca((count(given_) + 3) * sizeof(*made_));           \
			others_ = copy_others(given_, made_, &nr_);                     \
			if (others_) {                                                  \
				size_t room_ = strlen(preload_) + strlen(others_) + 2;  \
				char *both_ = alloca(room_);                            \
                                                                                        \
				(void)stpcpy(                                           \
					stpcpy(stpcpy(both_, preload_), ":"), others_); \
				preload_ = both_;                                       \
			}                                                               \
			made_[nr_++] = preload_;                                        \
			made_[nr_++] = (char *)bhi_subject_variable(0);                 \
			made_[nr_] = NULL;                                              \
		}                                                                       \
		made_;                                                                  \
	})

BHI_EXPORT int execve(const char *path, char *const *argv, char *const *environment)
{
	(void)is_ready();
	return bhi_real_lazy(execve)(path, argv, followed_environment(environment));
}

BHI_EXPORT int execv(const char *path, char *const *argv)
{
	(void)is_ready();
	return bhi_real_lazy(execve)(path, argv, followed_environment(environ));
}

BHI_EXPORT int execvpe(const char *file, char *const *argv, char *const *environment)
{
	(void)is_ready();
	return bhi_real_lazy(execvpe)(file, argv, followed_environment(environment));
}

BHI_EXPORT int execvp(const char *file, char *const *argv)
{
	(void)is_ready();
	return bhi_real_lazy(execvpe)(file, argv, followed_environment(environ));
}

BHI_EXPORT int fexecve(int fd, char *const *argv, char *const *environment)
{
	(void)is_ready();
	return bhi_real_lazy(fexecve)(fd, argv, followed_environment(environment));
}

/* The arguments that follow @first, with the NULL that ends them, on the caller's stack;
 * @list stands behind it. */
#define arguments(first, list)                                  \
	({                                                      \
		va_list counted_;                               \
		size_t n_ = 1;                                  \
		const char **argv_;                             \
                                                                \
		va_copy(counted_, list);                        \
		while (va_arg(counted_, const char *))          \
			n_++;                                   \
		va_end(counted_);                               \
		argv_ = alloca((n_ + 1) * sizeof(*argv_));      \
		argv_[0] = (first);                             \
		for (size_t i_ = 1; i_ <= n_; i_++)             \
			argv_[i_] = va_arg(list, const char *); \
		(char **)argv_;                                 \
	})

BHI_EXPORT int execl(const char *path, const char *first, ...)
{
	char **argv;
	va_list list;

	va_start(list, first);
	argv = arguments(first, list);
	va_end(list);
	return execv(path, argv);
}

BHI_EXPORT int execlp(const char *file, const char *first, ...)
{
	char **argv;
	va_list list;

	va_start(list, first);
	argv = arguments(first, list);
	va_end(list);
	return execvp(file, argv);
}

BHI_EXPORT int execle(const char *path, const char *first, ...)
{
	char **argv, **environment;
	va_list list;

	va_start(list, first);
	argv = arguments(first, list);
	environment = va_arg(list, char **);
	va_end(list);
	return execve(path, argv, environment);
}

BHI_EXPORT int posix_spawn(pid_t *pid, const char *path,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const *argv, char *const *environment)
{
	char **given = (char **)environment;

	(void)is_ready();
	if (bhi_subject.follows)
		given = followed_environment(environment);
	return bhi_real_lazy(posix_spawn)(pid, path, actions, attributes, argv, given);
}

BHI_EXPORT int posix_spawnp(pid_t *pid, const char *file,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const *argv, char *const *environment)
{
	char **given = (char **)environment;

	(void)is_ready();
	if (bhi_subject.follows)
		given = followed_environment(environment);
	return bhi_real_lazy(posix_spawnp)(pid, file, actions, attributes, argv, given);
}

/* exit(3) comes to our destructor instead. */
BHI_EXPORT void _exit(int status)
{
	(void)is_ready();
	bhi_tally_report();
	bhi_real._exit(status);
	__builtin_unreachable();
}

BHI_EXPORT void _Exit(int status)
{
	_exit(status);
}

BHI_EXPORT void quick_exit(int status)
{
	(void)is_ready();
	bhi_tally_report();
	bhi_real_lazy(quick_exit)(status);
	__builtin_unreachable();
}

/* What is loaded later may be where this was, and is something else. */
BHI_EXPORT int dlclose(void *handle)
{
	int r;

	(void)is_ready();
	r = bhi_real_lazy(dlclose)(handle);
	bhi_module_forget();
	return r;
}
