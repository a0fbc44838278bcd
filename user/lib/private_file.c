// SPDX-License-Identifier: Apache-2.0
#include "lib/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util.h"

/* Opens what is no regular file. */
static int open_other(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	return S_ISREG(status.st_mode) ? -ELOOP : TAKE_FD(fd);
}

int private_file_open(const char *path)
{
	struct stat status;
	int fd;

	if (lstat(path, &status) == 0 && S_ISREG(status.st_mode) && unlink(path) < 0)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd >= 0)
		return fd;
	return errno == EEXIST ? open_other(path) : -errno;
}
