// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/log.h"
#include "lib/util.h"

/* The shortest pause between two signs of life, ms. */
#define PACE_MIN 10

static void tell(const struct agent_notify *notify, const char *state)
{
	/* A manager that does not read must not hold up the agent. It misses a sign of life. */
	if (notify->fd >= 0 &&
	    send(notify->fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("cannot tell the service manager %s: %s", state, strerror(errno));
}

/* Returns a socket that is connected to the manager's, or -EINVAL and other errors. A name that
 * begins with
 * "@" is abstract (unix(7)). */
static int open_manager(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	_cleanup_close_ int fd = -1;

	if ((*name != '/' && *name != '@') || length < 2 || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Returns the pause between two signs of life in ms, or 0 for none. */
static unsigned int watchdog_pace(void)
{
	const char *process = getenv("WATCHDOG_PID"), *limit = getenv("WATCHDOG_USEC");
	unsigned long long pace;

	if (!limit || (process && strtol(process, NULL, 10) != getpid()))
		return 0;
	pace = strtoull(limit, NULL, 10) / 2000;
	if (pace == 0 || pace > UINT32_MAX)
		return 0;
	return pace < PACE_MIN ? PACE_MIN : (unsigned int)pace;
}

static void expired(struct loop_timer *timer)
{
	struct agent_notify *notify = container_of(timer, struct agent_notify, timer);

	tell(notify, "WATCHDOG=1");
	loop_timer_start(notify->loop, &notify->pace, timer);
}

void agent_notify_start(struct agent_notify *notify, struct loop *loop)
{
	const char *name = getenv("NOTIFY_SOCKET");
	unsigned int pace = watchdog_pace();

	notify->loop = loop;
	if (!name)
		return;
	notify->fd = open_manager(name);
	if (notify->fd < 0) {
		log_warning("cannot reach the service manager at %s: %s", name,
			    strerror(-notify->fd));
		return;
	}
	tell(notify, "READY=1");
	if (pace == 0)
		return;
	notify->timer.expired = expired;
	loop_timer_class_init(loop, &notify->pace, pace);
	loop_timer_start(loop, &notify->pace, &notify->timer);
}

void agent_notify_stop(struct agent_notify *notify)
{
	tell(notify, "STOPPING=1");
	loop_timer_stop(&notify->timer);
	notify->fd = safe_close(notify->fd);
}
