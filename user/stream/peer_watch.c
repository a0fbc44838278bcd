// SPDX-License-Identifier: Apache-2.0
#include "stream/peer_watch.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <linux/tcp.h>

#include "lib/util.h"

/* TCP_SYN_SENT of include/net/tcp_states.h in the kernel: a dial has its own limit. */
#define STATE_SYN_SENT 2
/* More probes than the watch waits for, so that it alone decides (tcp(7), TCP_KEEPCNT). */
#define PROBES_MAX 127

static void set_number(int fd, int option, unsigned int number)
{
	int value = number > INT16_MAX ? INT16_MAX : number < 1 ? 1 : (int)number;

	(void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

/* Probes begin after a quarter of the limit, so two are lost before half of it is over. */
static void probe(int fd, unsigned int limit_ms)
{
	static const int one = 1;

	set_number(fd, TCP_KEEPIDLE, limit_ms / 4000);
	set_number(fd, TCP_KEEPINTVL, limit_ms / 8000);
	set_number(fd, TCP_KEEPCNT, PROBES_MAX);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/*
 * Tells whether nothing has come from the peer for so long, and a question is unanswered: a probe,
 * or bytes that were sent again. Bytes that a closed window holds back stay unacknowledged, but are
 * sent again ever more rarely, and each time the peer answers.
 */
static bool is_silent(int fd, unsigned int ms)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);
	bool asked;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
	    info.tcpi_state == STATE_SYN_SENT)
		return false;
	asked = info.tcpi_probes > 0 ||
		(info.tcpi_retransmits > 0 && info.tcpi_last_data_sent < info.tcpi_last_ack_recv);
	return asked && info.tcpi_last_ack_recv > ms && info.tcpi_last_data_recv > ms;
}

static void tick(struct loop_timer *timer)
{
	struct peer_watch *watch = container_of(timer, struct peer_watch, timer);
	struct peer_watches *watches = watch->watches;
	int i;

	loop_timer_start(watches->loop, &watches->ticks, timer);
	for (i = 0; i < 2; i++) {
		int fd = watch->relay->side[i].fd;
		bool before = watch->silent[i];

		if (fd < 0)
			continue;
		if (!watch->probed[i])
			probe(fd, watches->limit_ms);
		watch->probed[i] = true;
		watch->silent[i] = is_silent(fd, watches->limit_ms / 2);
		if (before && watch->silent[i]) {
			peer_watch_stop(watch);
			watch->vanished(watch, i);
			return;
		}
	}
}

void peer_watches_init(struct peer_watches *watches, struct loop *loop, unsigned int limit_ms)
{
	watches->loop = loop;
	watches->limit_ms = limit_ms;
	loop_timer_class_init(loop, &watches->ticks, limit_ms / 4);
}

void peer_watch_start(struct peer_watch *watch, struct peer_watches *watches,
		      const struct relay *relay)
{
	watch->watches = watches;
	watch->relay = relay;
	watch->timer.expired = tick;
	if (watches->limit_ms > 0)
		loop_timer_start(watches->loop, &watches->ticks, &watch->timer);
}

void peer_watch_renew(struct peer_watch *watch, int side)
{
	watch->probed[side] = false;
	watch->silent[side] = false;
}

void peer_watch_stop(struct peer_watch *watch)
{
	loop_timer_stop(&watch->timer);
}
