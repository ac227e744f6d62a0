/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/sched.h"
#include "base/sys.h"

/* Background threads run our code and, in shrinkers, the host's. */
#define THREAD_STACK_SIZE ((size_t)256 * 1024)

const struct bhi_sched *bhi_sched;

static bool has_membarrier;

static int map(void *hint, size_t size, int prot, void **ret)
{
	void *p;

	if (bhi_failpoint(BHI_FP_MMAP) ||
		bhi_fault(BH_FAULT_SYSCALL, size, BHI_FAULT_MMAP))
		return -ENOMEM;
	p = mmap(hint, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	*ret = p;
	return 0;
}

int bhi_sys_reserve(size_t size, size_t align, void **ret)
{
	size_t slack = align > BHI_PAGE_SIZE ? align : 0;
	char *start, *aligned;
	void *p;
	int r;

	if (size + slack < size)
		return -ENOMEM;
	r = map(NULL, size + slack, PROT_NONE, &p);
	if (r)
		return r;
	start = p;
	aligned = (char *)(((uintptr_t)start + align - 1) & ~(uintptr_t)(align - 1));
	if (aligned > start)
		munmap(start, (size_t)(aligned - start));
	if (start + slack > aligned)
		munmap(aligned + size, (size_t)(start + slack - aligned));
	*ret = aligned;
	return 0;
}

int bhi_sys_map(size_t size, void **ret)
{
	return map(NULL, size, PROT_READ | PROT_WRITE, ret);
}

void bhi_sys_unmap(void *addr, size_t size)
{
	munmap(addr, size);
}

int bhi_sys_commit(void *addr, size_t size)
{
	if (bhi_failpoint(BHI_FP_MPROTECT))
		return -ENOMEM;
	return mprotect(addr, size, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

int bhi_sys_discard(void *addr, size_t size)
{
	int saved, r = 0;

	if (bhi_failpoint(BHI_FP_MADVISE))
		return -ENOMEM;
	/* Memory is given back by bh_free too, which preserves errno. */
	saved = errno;
	if (madvise(addr, size, MADV_DONTNEED) < 0) {
		r = -errno;
		errno = saved;
	}
	return r;
}

int bhi_sys_wipe_on_fork(void *addr, size_t size)
{
	if (bhi_failpoint(BHI_FP_MADVISE))
		return -ENOMEM;
	return madvise(addr, size, MADV_WIPEONFORK) < 0 ? -errno : 0;
}

static int futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / BHI_NS_PER_SEC),
		.tv_nsec = (long)(timeout_ns % BHI_NS_PER_SEC),
	};
	int saved = errno;
	int r = 0;

	if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns ? &ts : NULL,
		    NULL, 0) < 0 &&
		errno != EAGAIN)
		r = -errno;
	errno = saved;
	return r;
}

int bhi_sys_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	if (bhi_unlikely(bhi_sched))
		return bhi_sched->wait(word, value, NULL, 0, timeout_ns);
	return futex_wait(word, value, timeout_ns);
}

/* Without futex_waitv nobody tells of a kill: so long a victim may sleep on. */
#define LOOK_FOR_KILL_NS (10 * BHI_NS_PER_MS)

static int futex_wait_two(uint32_t *word, uint32_t value, uint32_t *kill_word,
	uint32_t kill_value, uint64_t timeout_ns)
{
	struct futex_waitv waiters[] = {
		{.uaddr = (uintptr_t)word,
			.val = value,
			.flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
		{.uaddr = (uintptr_t)kill_word,
			.val = kill_value,
			.flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
	};
	uint64_t until = bhi_sys_now_ns() + timeout_ns;
	struct timespec ts = {
		.tv_sec = (time_t)(until / BHI_NS_PER_SEC),
		.tv_nsec = (long)(until % BHI_NS_PER_SEC),
	};
	int saved = errno, r = 0;

	if (syscall(SYS_futex_waitv, waiters, bhi_array_size(waiters), 0,
		    timeout_ns ? &ts : NULL, CLOCK_MONOTONIC) < 0 &&
		errno != EAGAIN)
		r = -errno;
	errno = saved;
	if (r != -ENOSYS)
		return r;
	if (bhi_load(kill_word) != kill_value)
		return 0;
	r = futex_wait(word, value,
		timeout_ns ? bhi_min(timeout_ns, LOOK_FOR_KILL_NS) : LOOK_FOR_KILL_NS);
	return r == -ETIMEDOUT && timeout_ns != LOOK_FOR_KILL_NS ? 0 : r;
}

int bhi_sys_futex_wait_two(uint32_t *word, uint32_t value, uint32_t *kill_word,
	uint32_t kill_value, uint64_t timeout_ns)
{
	if (bhi_unlikely(bhi_sched))
		return bhi_sched->wait(word, value, kill_word, kill_value, timeout_ns);
	return futex_wait_two(word, value, kill_word, kill_value, timeout_ns);
}

void bhi_sys_futex_wake(uint32_t *word, int nr)
{
	int saved = errno;

	if (bhi_unlikely(bhi_sched)) {
		bhi_sched->wake(word, nr);
		return;
	}
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr, NULL, NULL, 0);
	errno = saved;
}

int bhi_sys_membarrier_register(void)
{
	if (bhi_failpoint(BHI_FP_MEMBARRIER))
		return -ENOSYS;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0)
		return -errno;
	has_membarrier = true;
	return 0;
}

void bhi_sys_membarrier(void)
{
	bhi_fence();
	if (has_membarrier)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

uint64_t bhi_sys_now_ns(void)
{
	struct timespec ts;

	if (bhi_unlikely(bhi_sched))
		return bhi_sched->now_ns();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * BHI_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

void bhi_sys_pause(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / BHI_NS_PER_SEC),
		.tv_nsec = (long)(ns % BHI_NS_PER_SEC),
	};

	if (bhi_unlikely(bhi_sched))
		bhi_sched->pause(ns);
	else if (ns == 0)
		sched_yield();
	else
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

uint32_t bhi_sys_thread_id(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

ssize_t bhi_sys_read_file(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd;

	if (bhi_failpoint(BHI_FP_OPEN))
		return -EMFILE;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, size - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < size) || (n < 0 && errno == EINTR));
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return n;
	if (len == size)
		return -EFBIG;
	buf[len] = '\0';
	return (ssize_t)len;
}

int bhi_sys_write(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static bool has_room(int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLOUT};

	return poll(&end, 1, 0) == 1 && end.revents == POLLOUT;
}

/* A file on disk has no readers that it waits for. Of others the kernel is asked to
 * refuse rather than to wait, for somebody may write between the look and the write; it
 * knows how to with pipes and sockets since Linux 6.4. */
int bhi_sys_try_write(int fd, const void *data, size_t size)
{
	struct iovec vec = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct stat stat;
	ssize_t n;

	if (!fstat(fd, &stat) && S_ISREG(stat.st_mode))
		return bhi_sys_write(fd, data, size);
	if (!has_room(fd))
		return -EAGAIN;
	n = pwritev2(fd, &vec, 1, -1, RWF_NOWAIT);
	if (n < 0 && errno != EAGAIN)
		n = write(fd, data, size);
	return n < 0 ? -errno : 0;
}

int bhi_sys_thread_start(void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (bhi_failpoint(BHI_FP_THREAD))
		return -EAGAIN;
	if (bhi_unlikely(bhi_sched))
		return bhi_sched->thread_start(fn, arg);
	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(
		&attr, bhi_max(THREAD_STACK_SIZE, (size_t)PTHREAD_STACK_MIN));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}
