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
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

#define SAMPLE_MS   50
#define PATIENCE_MS 10000

/* A field of a file in /proc that is "name: N kB"; in bytes. */
static uint64_t read_field(pid_t pid, const char *file_name, const char *field)
{
	char path[64], line[256];
	uint64_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file_name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, field, strlen(field)))
			size = strtoull(line + strlen(field), NULL, 10) * 1024;
	}
	(void)fclose(file);
	return size;
}

/* Children share pages with their parent: each counts its part of those. */
static uint64_t read_children(pid_t pid, pid_t thread)
{
	char path[64];
	uint64_t size = 0;
	int child;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)thread);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fscanf(file, "%d", &child) == 1)
		size += read_field(child, "smaps_rollup", "Pss:");
	(void)fclose(file);
	return size;
}

static uint64_t read_all_children(pid_t pid)
{
	uint64_t size = 0;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		size += read_children(pid, (pid_t)strtol(entry->d_name, NULL, 10));
	closedir(dir);
	return size;
}

static void *sampler_main(void *arg)
{
	struct server *server = arg;

	while (!__atomic_load_n(&server->is_ending, __ATOMIC_RELAXED)) {
		uint64_t children = read_all_children(server->pid), size;

		/* The kernel remembers the peak of one process, not of several. */
		size = children ? children + read_field(server->pid, "status", "VmRSS:")
				: read_field(server->pid, "status", "VmHWM:");
		if (size > server->peak_rss)
			server->peak_rss = size;
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
		"--deadline=1s", "--drills", how, (char *)NULL);
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
	int status = 0;
	pid_t r = 0;

	__atomic_store_n(&server->is_ending, true, __ATOMIC_RELAXED);
	pthread_join(server->sampler, NULL);
	kill(server->pid, SIGTERM);
	for (int waited = 0; waited < PATIENCE_MS && !r; waited += SAMPLE_MS) {
		r = waitpid(server->pid, &status, WNOHANG);
		if (!r)
			poll(NULL, 0, SAMPLE_MS);
	}
	if (!r) {
		server->was_killed = true;
		kill(server->pid, SIGKILL);
		waitpid(server->pid, &status, 0);
	}
	server->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
