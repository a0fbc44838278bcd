// SPDX-License-Identifier: Apache-2.0
#include "net/instance_lock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "lib/log.h"
#include "lib/util.h"

#define LOCK_NAME "sidestep.instance"

/* A killed predecessor holds the lock until its last file is released. Wait that long. */
#define LOCK_TRIES 25
#define LOCK_WAIT  (&(struct timespec) {.tv_nsec = 20000000})

static socklen_t lock_address(struct sockaddr_un *address)
{
	*address = (struct sockaddr_un) {.sun_family = AF_UNIX};
	/* Abstract: the first byte is NUL. */
	memcpy(address->sun_path + 1, LOCK_NAME, sizeof(LOCK_NAME) - 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(LOCK_NAME));
}

int instance_holder(void)
{
	struct sockaddr_un address;
	socklen_t size = lock_address(&address);
	struct ucred credentials = {0};
	socklen_t credentials_size = sizeof(credentials);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) < 0)
		return -1;
	return credentials.pid;
}

int instance_lock(void)
{
	struct sockaddr_un address;
	socklen_t size = lock_address(&address);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int i, holder, error = 0;

	if (fd < 0)
		return log_errno(-errno, "cannot create the socket of the instance lock");
	for (i = 0; i < LOCK_TRIES; i++) {
		error = bind(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
		if (error != -EADDRINUSE)
			break;
		(void)nanosleep(LOCK_WAIT, NULL);
	}
	if (error < 0) {
		if (error != -EADDRINUSE)
			return log_errno(error, "cannot take the instance lock");
		holder = instance_holder();
		log_error("another sidestep is running in this network namespace (process %d): "
			  "stop it first, or give this one a namespace of its own",
			  holder < 0 ? 0 : holder);
		return -EADDRINUSE;
	}
	/* A second instance connects in order to learn the holder's process ID. */
	if (listen(fd, 1) < 0)
		return log_errno(-errno, "cannot take the instance lock");
	return TAKE_FD(fd);
}
