/* SPDX-License-Identifier: MIT */
/*
 * Mode pages. The C library's own mmap, mremap and brk cannot be interposed, so they are
 * met where they enter the kernel: a seccomp filter has the runner asked before any
 * anonymous mmap, any mremap and any brk that names an address is done. All other system
 * calls run at full speed. The filter is inherited by whatever the subject starts, and is
 * asked about there too; such calls are let through.
 *
 * What a page call is for the interposer says, by a window that the thread has open (see
 * preload/pages.h). One without a window is let through and counted: before the
 * interposer was started, and at addresses of the loader, it is the loader's. The loader
 * dies with a message of its own when it is refused anything, which shows nothing about
 * the program.
 *
 * The first page call of a window that is the point is refused, and all that follow it
 * until the window is closed. A refused mmap or mremap gives ENOMEM. A refused brk gives
 * what the kernel gives then, the break as it is: it never returns an error, and a C
 * library that was given one would take it for an address. The thread holds the lock of
 * the heap, so its copy of the break is the break.
 *
 * What is let through is done by the kernel with the arguments it finds then, so this is
 * no way to keep a hostile program from anything.
 */
#include "pages.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/compiler.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "not ported to this machine"
#endif

/* The kernel writes as much as its own structure has, which may have grown. */
union notification {
	struct seccomp_notif call;
	char room[512];
};

union answer {
	struct seccomp_notif_resp answer;
	char room[256];
};

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
/* The half that has the small bits, and the other one. */
#define LOAD_LOW(n) LOAD(args[n])
#define LOAD_HIGH(n)                       \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
		(uint32_t)offsetof(struct seccomp_data, args[n]) + 4)
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define IF_SET(value, yes, no)   BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, value, yes, no)
#define RETURN(action)           BPF_STMT(BPF_RET | BPF_K, action)

static int install_filter(void)
{
	/* Jumps count the instructions between; the last two are "ask" and "allow". */
	static const struct sock_filter code[] = {
		LOAD(arch),
		IF_EQUAL(ARCHITECTURE, 0, 11 /* allow */),
		LOAD(nr),
		IF_EQUAL(SYS_mremap, 8 /* ask */, 0),
		IF_EQUAL(SYS_mmap, 0, 2 /* brk? */),
		LOAD_LOW(3),
		IF_SET(MAP_ANONYMOUS, 5 /* ask */, 6 /* allow */),
		IF_EQUAL(SYS_brk, 0, 5 /* allow */),
		LOAD_LOW(0),
		IF_EQUAL(0, 0, 2 /* ask */),
		LOAD_HIGH(0),
		IF_EQUAL(0, 1 /* allow */, 0 /* ask */),
		RETURN(SECCOMP_RET_USER_NOTIF),
		RETURN(SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = bhi_array_size(code), .filter = (struct sock_filter *)code};
	long fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return fd < 0 ? -errno : (int)fd;
}

int bhi_check_pages_install(int socket)
{
	int listener = install_filter(), r = 0;
	union control control = {.room = {0}};
	char byte = 0;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	if (listener < 0)
		return listener;
	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &listener, sizeof(listener));
	if (sendmsg(socket, &message, 0) < 0)
		r = -errno;
	(void)close(listener);
	return r;
}

int bhi_check_pages_receive(int socket)
{
	union control control = {.room = {0}};
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int listener;

	if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0 ||
		message.msg_controllen < CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&listener, CMSG_DATA(&control.header), sizeof(listener));
	return listener;
}

/* The break, from the C library of the thread that waits; 0: it cannot be read. */
static uint64_t read_break(
	const struct seccomp_notif *call, const struct bhi_check_window *window)
{
	uint64_t now = 0;
	struct iovec here = {.iov_base = &now, .iov_len = sizeof(now)};
	struct iovec there = {.iov_base = (void *)(uintptr_t)window->break_address,
		.iov_len = sizeof(now)};

	if (!window->break_address || process_vm_readv((pid_t)call->pid, &here, 1, &there,
					      1, 0) != (ssize_t)sizeof(now))
		return 0;
	return now;
}

static enum bhi_check_function function_of(const struct seccomp_notif *call)
{
	switch (call->data.nr) {
	case SYS_brk:
		return BHI_CHECK_BRK;
	case SYS_mremap:
		return BHI_CHECK_MREMAP;
	default:
		return BHI_CHECK_MMAP;
	}
}

/* How many bytes more; 0 when it only gives some back, which is not refused. */
static uint64_t bytes_wanted(const struct seccomp_notif *call, uint64_t present_break)
{
	const __u64 *args = call->data.args;

	switch (function_of(call)) {
	case BHI_CHECK_BRK:
		return present_break && args[0] > present_break ? args[0] - present_break
								: 0;
	case BHI_CHECK_MREMAP:
		return args[2] > args[1] ? args[2] - args[1] : 0;
	default:
		return args[1];
	}
}

static bool is_point(
	struct bhi_check_shared *shared, const struct bhi_check_window *window)
{
	const struct bhi_check_order *order = &shared->order;

	if (window->watch == BHI_CHECK_WATCH_COUNT)
		return false;
	if (order->call ? window->call != order->call
			: bhi_add_return(&shared->nr_met, 1) != order->occurrence)
		return false;
	if (window->watch == BHI_CHECK_WATCH_POINT)
		return true;
	bhi_add(&shared->nr_benign, 1);
	return false;
}

/* Whether to refuse it. What the window's owner notes when the call returns is noted here
 * as well, since it may not come so far. */
static bool decide(struct bhi_check_shared *shared, const struct seccomp_notif *call,
	struct bhi_check_window *window, uint64_t size)
{
	bool is_first;

	if (window->watch == BHI_CHECK_WATCH_OWN)
		return false;
	is_first = !window->nr_calls++;
	if (is_first) {
		window->call = bhi_add_return(&shared->nr_calls, 1);
		window->function = function_of(call);
		window->size = size;
	}
	if (is_first && is_point(shared, window)) {
		shared->injected_function = window->function;
		shared->injected_tid = call->pid;
		shared->injected_size = window->size;
		window->nr_refused = 1;
		bhi_store_release(&shared->nr_injected, 1);
		return true;
	}
	if (!window->nr_refused)
		return false;
	window->nr_refused++;
	return true;
}

/* What the kernel told the process; another one after each exec. */
static uint64_t read_loader_base(pid_t pid)
{
	char path[64];
	unsigned long entries[2 * 64];
	ssize_t length;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/auxv", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, entries, sizeof(entries));
	(void)close(fd);
	for (ssize_t i = 0; i + 1 < length / (ssize_t)sizeof(*entries); i += 2) {
		if (entries[i] == AT_BASE)
			return entries[i + 1];
	}
	return 0;
}

/* Of the first process's main thread, where the loader is at work. What brk the C library
 * does by itself gives pages back, in free(3). */
static void count_elsewhere(
	struct bhi_check_shared *shared, const struct seccomp_notif *call, pid_t leader)
{
	if (call->pid != (uint32_t)leader)
		return;
	if (!bhi_load_acquire(&shared->started) ||
		call->data.instruction_pointer - read_loader_base(leader) <
			shared->loader_size)
		shared->nr_loader_pages++;
	else if (call->data.nr != SYS_brk)
		shared->nr_other_pages++;
}

/* Fills @ret but for its .id. */
static void find_answer(struct bhi_check_shared *shared, const struct seccomp_notif *call,
	pid_t leader, struct seccomp_notif_resp *ret)
{
	struct bhi_check_window *window =
		&shared->windows[call->pid % BHI_CHECK_NR_WINDOWS];
	bool is_brk = call->data.nr == SYS_brk;
	uint64_t present_break, size;

	ret->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (bhi_load_acquire(&window->tid) != call->pid) {
		count_elsewhere(shared, call, leader);
		return;
	}
	present_break = is_brk ? read_break(call, window) : 0;
	size = bytes_wanted(call, present_break);
	if (!size || !decide(shared, call, window, size))
		return;
	ret->flags = 0;
	if (is_brk)
		ret->val = (int64_t)present_break;
	else
		ret->error = -ENOMEM;
}

void bhi_check_pages_answer(int listener, pid_t leader, struct bhi_check_shared *shared)
{
	union notification notification = {.room = {0}};
	union answer answer = {.room = {0}};

	/* It may have been killed meanwhile. */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification))
		return;
	answer.answer.id = notification.call.id;
	find_answer(shared, &notification.call, leader, &answer.answer);
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}
