// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_takeover.h"

#include <poll.h>

#include "datapath/datapath_agent.h"
#include "lib/log.h"

struct pollfd sidecar_takeover_session(const struct sidecar_takeover *takeover)
{
	const struct datapath *agent = takeover->datapath->current;

	if (takeover->agent_gone || !takeover->datapath->agent)
		return (struct pollfd) {.fd = -1};
	return (struct pollfd) {.fd = datapath_agent_fd(agent),
				.events = datapath_agent_events(agent)};
}

bool sidecar_takeover_waits(const struct sidecar_takeover *takeover)
{
	return takeover->agent_gone || datapath_agent_hangs(takeover->datapath->current);
}

/* Sets up the agent's datapath in the order of the start. Both datapaths steer for a moment. */
static int take_over(struct sidecar_takeover *takeover, struct datapath *agent)
{
	struct sidecar_datapath *datapath = takeover->datapath;
	int error = sidecar_datapath_listeners(agent, takeover->proxy);

	if (error == 0)
		error = sidecar_datapath_describe(datapath, agent);
	if (error < 0)
		return error;
	sidecar_datapath_swap(datapath, agent, true, takeover->steering);
	error = steering_prepare(takeover->steering);
	if (error == 0)
		error = proxy_announce(takeover->proxy);
	if (error < 0)
		return error;
	sidecar_datapath_seed(datapath, takeover->steering);
	return datapath_attach(agent);
}

/* Ends the former datapath. */
static void retire(struct sidecar_takeover *takeover, struct datapath *former, bool was_agent)
{
	struct steering_way way = sidecar_datapath_way(takeover->datapath);

	if (was_agent)
		datapath_agent_forget(former);
	else
		takeover->datapath->retired = datapath_retire(former);
	steering_set_datapath(takeover->steering, takeover->datapath->current, &way);
	(void)steering_sync(takeover->steering);
}

void sidecar_takeover_agent_came(struct sidecar_takeover *takeover)
{
	struct sidecar_datapath *datapath = takeover->datapath;
	struct datapath *former = datapath->current, *agent = NULL;
	bool was_agent = datapath->agent;
	int error;

	if (sidecar_datapath_accept(datapath, &agent) < 0)
		return;
	/* An agent that comes during the session of another one replaces it. */
	if (was_agent)
		takeover->agent_gone = true;
	error = take_over(takeover, agent);
	if (error < 0) {
		(void)log_errno(error,
				"the host's agent has come but could not take over: %s continues "
				"to steer",
				former->ops->name);
		if (datapath->current == agent)
			sidecar_datapath_swap(datapath, former, was_agent, takeover->steering);
		/* Nothing may stay attached that judges by half-filled maps. */
		if (was_agent)
			datapath_agent_forget(agent);
		else
			datapath_free(agent);
		return;
	}
	log_info("the host's agent steers with its BPF programs, in place of %s",
		 was_agent ? "an earlier agent" : "the nftables table");
	retire(takeover, former, was_agent);
	takeover->agent_gone = false;
}

static void agent_left(struct sidecar_takeover *takeover)
{
	takeover->agent_gone = true;
	log_warning("the host's agent is gone: its programs continue to steer, but new addresses, "
		    "routes and bypassed subnets wait until it is back (sidestep agent)");
}

void sidecar_takeover_agent_event(struct sidecar_takeover *takeover, short events)
{
	struct sidecar_datapath *datapath = takeover->datapath;

	if (events & ~(POLLIN | POLLOUT)) {
		agent_left(takeover);
	} else if (datapath_agent_resume(datapath->current)) {
		log_info("the host's agent answers again");
		steering_repeat(takeover->steering);
		(void)sidecar_datapath_describe(datapath, datapath->current);
	}
}

int sidecar_takeover_await(struct sidecar_takeover *takeover, int error)
{
	const struct sidecar_datapath *datapath = takeover->datapath;
	struct pollfd event = {.fd = datapath->rendezvous_fd, .events = POLLIN};

	if (datapath->rendezvous_fd < 0)
		return error;
	log_warning("nftables cannot steer here: waiting up to %u ms for the host's agent "
		    "(--agent-wait)",
		    datapath->options->agent_wait_ms);
	if (poll(&event, 1, (int)datapath->options->agent_wait_ms) > 0)
		sidecar_takeover_agent_came(takeover);
	return datapath->agent ? 0 : error;
}
