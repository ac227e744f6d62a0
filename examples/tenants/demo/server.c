/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

#define SAMPLE_MS   50
#define PATIENCE_MS 10000

/*
 * What a process has, in bytes: pages that several have count for each with its part, so
 * that a sum over processes is what all have. 0 when it has ended.
 */
static uint64_t read_pss(pid_t pid)
{
	char path[64], line[256];
	uint64_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "Pss:", 4))
			size = strtoull(line + 4, NULL, 10) * 1024;
	}
	(void)fclose(file);
	return size;
}

struct sample {
	uint64_t pss, nr_processes;
};

static void add_process(struct sample *sample, pid_t pid)
{
	uint64_t pss = read_pss(pid);

	sample->pss += pss;
	sample->nr_processes += pss != 0;
}

/* The children that one thread of the server has. */
static void add_children(struct sample *sample, pid_t pid, pid_t thread)
{
	char path[64];
	int child;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)thread);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fscanf(file, "%d", &child) == 1)
		add_process(sample, child);
	(void)fclose(file);
}

static void add_all_children(struct sample *sample, pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			add_children(sample, pid, (pid_t)strtol(entry->d_name, NULL, 10));
	}
	closedir(dir);
}

/* The same for every mode. The kernel remembers the peak of one process, not of several,
 * so that of all is what was seen. */
static void *sampler_main(void *arg)
{
	struct server *server = arg;

	while (!__atomic_load_n(&server->is_ending, __ATOMIC_RELAXED)) {
		struct sample sample = {0};

		add_process(&sample, server->pid);
		if (server->has_children)
			add_all_children(&sample, server->pid);
		if (sample.pss > server->peak_pss)
			server->peak_pss = sample.pss;
		if (sample.nr_processes > server->nr_processes)
			server->nr_processes = sample.nr_processes;
		poll(NULL, 0, SAMPLE_MS);
	}
	return NULL;
}

static _Noreturn void child_main(int out, const char *program, const char *contain)
{
	char how[32];

	snprintf(how, sizeof(how), "--contain=%s", contain);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	execl(program, program, "--port=0", "--size=256M", "--tenant-max=16M",
		"--cache-max=24M", "--deadline=1s", "--drills", how, (char *)NULL);
	fprintf(stderr, "tenants-demo: %s: %s\n", program, strerror(errno));
	_exit(127);
}

/* "http://127.0.0.1:PORT/" is its first line. */
static unsigned read_port(int fd)
{
	char line[128] = "";
	size_t size = 0;
	const char *colon;

	while (size + 1 < sizeof(line) && !strchr(line, '\n')) {
		ssize_t nr = read(fd, line + size, 1);

		if (nr <= 0)
			return 0;
		size += (size_t)nr;
	}
	colon = strrchr(line, ':');
	return colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}

bool server_begin(struct server *server, const char *program, const char *contain)
{
	int fds[2];

	memset(server, 0, sizeof(*server));
	if (pipe2(fds, O_CLOEXEC))
		return false;
	server->has_children = !strcmp(contain, "process");
	server->pid = fork();
	if (!server->pid)
		child_main(fds[1], program, contain);
	close(fds[1]);
	if (server->pid > 0)
		server->port = read_port(fds[0]);
	close(fds[0]);
	if (!server->port)
		return false;
	return !pthread_create(&server->sampler, NULL, sampler_main, server);
}

void server_end(struct server *server)
{
	struct rusage usage = {0};
	int status = 0;
	pid_t r = 0;

	__atomic_store_n(&server->is_ending, true, __ATOMIC_RELAXED);
	pthread_join(server->sampler, NULL);
	kill(server->pid, SIGTERM);
	for (int waited = 0; waited < PATIENCE_MS && !r; waited += SAMPLE_MS) {
		r = wait4(server->pid, &status, WNOHANG, &usage);
		if (!r)
			poll(NULL, 0, SAMPLE_MS);
	}
	if (!r) {
		server->was_killed = true;
		kill(server->pid, SIGKILL);
		wait4(server->pid, &status, 0, &usage);
	}
	/* Of the process, or of a child that it waited for, if that was larger. */
	server->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
	server->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
