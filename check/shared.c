/* SPDX-License-Identifier: MIT */
/*
 * The file is in memory: on a disk's file system each first touch would fill a whole run
 * of pages around it with the zeros of a hole, and take blocks of the disk.
 */
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* From here on descriptors have three digits. */
#define FIRST_FD 100

static int open_file(void)
{
	int fd = memfd_create("bulkhead-check", MFD_CLOEXEC), high;

	if (fd < 0)
		return -errno;
	/* Where so many are not allowed, names may differ in length. */
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	if (high < 0)
		return fd;
	(void)close(fd);
	return high;
}

int bhi_check_shared_make(struct bhi_check_shared **ret, int *ret_fd)
{
	struct bhi_check_shared *shared = MAP_FAILED;
	int fd = open_file(), r;

	if (fd < 0)
		return fd;
	if (!ftruncate(fd, sizeof(*shared)))
		shared = mmap(
			NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	*ret = shared;
	*ret_fd = fd;
	return 0;
}

void bhi_check_shared_name(int fd, char ret[BHI_CHECK_SHARED_NAME_SIZE])
{
	(void)snprintf(ret, BHI_CHECK_SHARED_NAME_SIZE, "/proc/%d/fd/%d", getpid(), fd);
}
