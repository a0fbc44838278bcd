// SPDX-License-Identifier: Apache-2.0
#include "sidecar/ipv6_pause.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "lib/log.h"
#include "lib/util.h"
#include "proxy/ipv6_verdict.h"

int ipv6_pause_open(struct ipv6_pause *pause, struct proxy *proxy, struct steering *steering)
{
	pause->proxy = proxy;
	pause->steering = steering;
	pause->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return pause->timer_fd < 0 ? log_errno(-errno, "cannot make a timer for IPv6") : 0;
}

void ipv6_pause_close(struct ipv6_pause *pause)
{
	pause->timer_fd = safe_close(pause->timer_fd);
}

int ipv6_pause_verdict_fd(const struct ipv6_pause *pause)
{
	return pause->timer_fd < 0 ? -1 : proxy_ipv6_verdict(pause->proxy)->fd;
}

/* Begins a pause, or ends one. */
static void set_paused(struct ipv6_pause *pause, bool paused)
{
	const struct itimerspec time = {.it_value.tv_sec = paused ? IPV6_PAUSE_S : 0};

	pause->paused = paused;
	steering_set_ipv6_refused(pause->steering, paused);
	(void)timerfd_settime(pause->timer_fd, 0, &time, NULL);
}

static void forget_verdict(const struct ipv6_pause *pause)
{
	eventfd_t count;

	(void)eventfd_read(proxy_ipv6_verdict(pause->proxy)->fd, &count);
}

void ipv6_pause_begin(struct ipv6_pause *pause)
{
	forget_verdict(pause);
	if (!pause->logged)
		log_warning(
			"the gateway has refused %d IPv6 connections and opened none: from now on "
			"they fail at once (--ipv6-fallback), and one is tried every %d s",
			IPV6_VERDICT_REFUSALS, IPV6_PAUSE_S);
	pause->logged = true;
	set_paused(pause, true);
}

/* A timer that is set again is not readable. */
void ipv6_pause_end(struct ipv6_pause *pause)
{
	ipv6_verdict_restart(proxy_ipv6_verdict(pause->proxy), true);
	set_paused(pause, false);
}

bool ipv6_pause_cancel(struct ipv6_pause *pause)
{
	bool paused = pause->paused;

	if (pause->timer_fd < 0)
		return false;
	ipv6_verdict_restart(proxy_ipv6_verdict(pause->proxy), false);
	forget_verdict(pause);
	set_paused(pause, false);
	pause->logged = false;
	return paused;
}
