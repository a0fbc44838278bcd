// SPDX-License-Identifier: Apache-2.0
#include "proxy/ipv6_verdict.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/util.h"

int ipv6_verdict_open(struct ipv6_verdict *verdict)
{
	verdict->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return verdict->fd < 0 ? -errno : 0;
}

void ipv6_verdict_close(struct ipv6_verdict *verdict)
{
	verdict->fd = safe_close(verdict->fd);
}

void ipv6_verdict_opened(struct ipv6_verdict *verdict)
{
	if (!atomic_load_explicit(&verdict->opened, memory_order_relaxed))
		atomic_store(&verdict->opened, true);
}

void ipv6_verdict_refused(struct ipv6_verdict *verdict)
{
	if (!atomic_load(&verdict->opened) &&
	    atomic_fetch_add(&verdict->refusals, 1) + 1 == IPV6_VERDICT_REFUSALS)
		(void)eventfd_write(verdict->fd, 1);
}

void ipv6_verdict_restart(struct ipv6_verdict *verdict, bool once)
{
	atomic_store(&verdict->refusals, once ? IPV6_VERDICT_REFUSALS - 1 : 0);
	if (!once)
		atomic_store(&verdict->opened, false);
}
