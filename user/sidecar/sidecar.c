// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "capture/capture_source.h"
#include "datapath/datapath_agent.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/process.h"
#include "lib/util.h"
#include "net/netlink.h"
#include "operator/operator_server.h"
#include "sidecar/docker_feed.h"
#include "sidecar/sidecar_gateway.h"
#include "sidecar/sidecar_interception.h"
#include "sidecar/sidecar_metrics.h"
#include "sidecar/sidecar_steps.h"
#include "steering/steering.h"

/* A failed sync is tried again after this time, ms. */
#define RETRY_MS 200

static void describe_gateway(struct sidecar *sidecar)
{
	eventfd_t count;

	(void)eventfd_read(sidecar->gateway_fd, &count);
	(void)sidecar_datapath_describe(&sidecar->datapath, sidecar->datapath.current);
}

static bool turn_internet(struct sidecar *sidecar)
{
	union main_request_value value;

	main_request_take(&sidecar->internet, &value);
	return steering_set_internet(sidecar->steering, value.internet);
}

/* Processes that are left here get nothing out from now on, as after a kill. */
static int desert(struct sidecar *sidecar)
{
	sidecar->deserted = true;
	datapath_agent_deserted(sidecar->datapath.current);
	log_error("the last network device (%s) that leads outside is gone, and nobody is left to "
		  "serve in this network namespace. Its container was stopped, restarted or "
		  "disconnected from its last network. A restarted container has a new network "
		  "namespace, and needs a new sidecar (docker run --restart on-failure)",
		  sidecar->way_out.name);
	return -ENONET;
}

/* Docker's networks have changed. Returns false if the first ones show that there is nothing to
 * steer, and never will be. */
static bool take_networks(struct sidecar *sidecar)
{
	const struct option_strings *bridges = &sidecar->options->bridges;
	bool first = !sidecar->bridges_known;

	(void)docker_feed_apply(sidecar->feed, sidecar->steering, bridges);
	sidecar->bridges_known = true;
	return !first || !sidecar->bridge_mode ||
	       !docker_feed_lacks_bridges(sidecar->feed, bridges);
}

/* The main loop. Returns 0 after SIGTERM or SIGINT, -ENONET: nobody is left to serve, or -EUNATCH:
 * no network has a bridge. */
static int run(struct sidecar *sidecar)
{
	enum {
		SIGNAL,
		MONITOR,
		FEED,
		RENDEZVOUS,
		AGENT,
		GATEWAY,
		WAY_OUT,
		IPV6_VERDICT,
		IPV6_PAUSE,
		INTERNET,
		MOVE,
		CAPTURES,
		OPERATOR
	};
	int error = 0;

	datapath_settle(sidecar->datapath.current);
	memory_trim();
	for (;;) {
		struct pollfd events[] = {
			[SIGNAL] = {.fd = sidecar->signal_fd, .events = POLLIN},
			[MONITOR] = {.fd = sidecar->monitor_fd, .events = POLLIN},
			[FEED] = {.fd = sidecar->feed ? docker_feed_fd(sidecar->feed) : -1,
				  .events = POLLIN},
			[RENDEZVOUS] = {.fd = sidecar->datapath.rendezvous_fd, .events = POLLIN},
			[GATEWAY] = {.fd = sidecar->gateway_fd, .events = POLLIN},
			[WAY_OUT] = {.fd = sidecar->way_out.timer_fd, .events = POLLIN},
			[IPV6_VERDICT] = {.fd = ipv6_pause_verdict_fd(&sidecar->ipv6),
					  .events = POLLIN},
			[IPV6_PAUSE] = {.fd = sidecar->ipv6.timer_fd, .events = POLLIN},
			[INTERNET] = {.fd = sidecar->internet.fd, .events = POLLIN},
			[MOVE] = {.fd = sidecar->move.fd, .events = POLLIN},
			[CAPTURES] = {.fd = sidecar->captures ? capture_source_fd(sidecar->captures)
							      : -1,
				      .events = POLLIN},
			[OPERATOR] = {.fd = operator_server_fd(sidecar->operator),
				      .events = POLLIN},
			[AGENT] = sidecar_takeover_session(&sidecar->takeover),
		};
		bool changed = error < 0, waits;
		int moved;

		if (poll(events, ARRAY_SIZE(events), error < 0 ? RETRY_MS : -1) < 0)
			continue;
		if (events[SIGNAL].revents)
			return 0;
		if (events[MONITOR].revents) {
			changed |= netlink_monitor_drain(sidecar->monitor_fd);
			way_out_look(&sidecar->way_out);
		}
		if (events[WAY_OUT].revents && way_out_lost(&sidecar->way_out))
			return desert(sidecar);
		if (events[FEED].revents) {
			if (!take_networks(sidecar))
				return -EUNATCH;
			changed = true;
		}
		if (events[IPV6_VERDICT].revents)
			ipv6_pause_begin(&sidecar->ipv6);
		else if (events[IPV6_PAUSE].revents)
			ipv6_pause_end(&sidecar->ipv6);
		if (events[GATEWAY].revents) {
			describe_gateway(sidecar);
			changed |= ipv6_pause_cancel(&sidecar->ipv6);
		}
		changed |= events[IPV6_VERDICT].revents || events[IPV6_PAUSE].revents;
		if (events[AGENT].revents) {
			sidecar_takeover_agent_event(&sidecar->takeover, events[AGENT].revents);
			changed = true;
		}
		if (events[RENDEZVOUS].revents) {
			sidecar_takeover_agent_came(&sidecar->takeover);
			changed = true;
		}
		if (events[CAPTURES].revents)
			capture_source_event(sidecar->captures);
		if (events[INTERNET].revents)
			changed |= turn_internet(sidecar);
		moved = events[MOVE].revents ? sidecar_gateway_take(sidecar) : -EAGAIN;
		changed |= moved == 0;
		waits = changed && sidecar_takeover_waits(&sidecar->takeover);
		if (changed)
			error = waits ? 0 : steering_sync(sidecar->steering);
		if (changed && !waits)
			sidecar_metrics_synced(sidecar, error);
		if (events[INTERNET].revents)
			main_request_answer(&sidecar->internet, waits ? -EAGAIN : error);
		if (events[MOVE].revents)
			main_request_answer(&sidecar->move, moved < 0 ? moved
							    : waits   ? -EAGAIN
								      : error);
		if (events[OPERATOR].revents) {
			sidecar->sync_error = error;
			operator_server_serve(sidecar->operator);
			error = sidecar->sync_error;
		}
		sidecar_interception_tell_bridges(sidecar);
		if (changed)
			datapath_settle(sidecar->datapath.current);
	}
}

int sidecar_run(const struct sidecar_options *options, const struct gateway_target *target)
{
	struct sidecar sidecar;
	int error;

	log_set_patience(LOG_BOUND_MS);
	process_raise_file_limit();
	sidecar_steps_init(&sidecar, options, target);
	error = sidecar_steps_start(&sidecar);
	if (error == 0) {
		log_set_patience(0);
		error = run(&sidecar);
		log_set_patience(LOG_BOUND_MS);
	}
	sidecar_steps_stop(&sidecar);
	return error;
}
