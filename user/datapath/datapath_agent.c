// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_agent.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/agent_wire.h"
#include "datapath/datapath_nft.h"
#include "datapath/rendezvous.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

/* The time for the reply to AGENT_DETACH, ms. The agent does it later as well. */
#define DETACH_MS 2000

struct datapath_agent {
	struct datapath base;
	int session;
	int events; /* where the agent takes events; -1: it does not */
	enum sidestep_udp udp;
	unsigned int limit_ms;
	pthread_mutex_t lock; /* one request and its reply at a time */
	uint32_t sequence;
	/* Requests fail at once until the agent has replied to @awaited. 0: its queue was full, so
	 * it must be asked first. */
	atomic_bool hung;
	uint32_t awaited;
	uint64_t start;	  /* ns, CLOCK_MONOTONIC; 0: not described yet */
	bool uncommitted; /* something was set that no reply has confirmed */
	atomic_bool attached;
};

static const struct datapath_ops ops;

static struct datapath_agent *self(struct datapath *base)
{
	return container_of(base, struct datapath_agent, base);
}

/* Waits for an event of the session. Returns 0, -ETIMEDOUT at @deadline_ms, or another negative
 * errno. */
static int wait_event(const struct datapath_agent *agent, short events, uint64_t deadline_ms)
{
	struct pollfd event = {.fd = agent->session, .events = events};
	uint64_t now_ms = clock_ms();
	int got = now_ms < deadline_ms ? poll(&event, 1, (int)(deadline_ms - now_ms)) : 0;

	if (got < 0 && errno != EINTR)
		return -errno;
	return got == 0 ? -ETIMEDOUT : 0;
}

/* Takes the next reply if there is one. Earlier ones than @sequence are skipped: nobody waits for
 * them any more. Returns 0 with *@ret_error, or negative errno; -EAGAIN: it has not come. */
static int take_reply(const struct datapath_agent *agent, uint32_t sequence, int *ret_error)
{
	struct agent_reply reply;
	int got, fd;

	for (;;) {
		got = rendezvous_receive(agent->session, &reply, sizeof(reply), &fd, MSG_DONTWAIT);
		(void)safe_close(fd);
		if (got < 0)
			return got;
		if (got != sizeof(reply) || reply.sequence != sequence)
			continue;
		*ret_error = reply.error;
		return 0;
	}
}

static int wait_reply(const struct datapath_agent *agent, uint32_t sequence, uint64_t deadline_ms)
{
	int reply = 0, error;

	while ((error = take_reply(agent, sequence, &reply)) == -EAGAIN) {
		error = wait_event(agent, POLLIN, deadline_ms);
		if (error < 0)
			return error;
	}
	return error < 0 ? error : reply;
}

/* An agent that is stopped reads nothing, and the queue between both has room for few messages. */
static int send_request(const struct datapath_agent *agent, const struct agent_request *request,
			int fd, uint64_t deadline_ms)
{
	int error;

	while ((error = rendezvous_send(agent->session, request, sizeof(*request), fd,
					MSG_DONTWAIT)) == -EAGAIN) {
		error = wait_event(agent, POLLOUT, deadline_ms);
		if (error < 0)
			return error;
	}
	return error;
}

/* Never 0, which would ask for no reply. */
static uint32_t next_sequence(struct datapath_agent *agent)
{
	if (++agent->sequence == 0)
		agent->sequence = 1;
	return agent->sequence;
}

static int request_within(struct datapath_agent *agent, struct agent_request *request, int fd,
			  bool wait, unsigned int limit_ms)
{
	uint64_t deadline_ms = clock_ms() + limit_ms;
	int error;

	if (atomic_load(&agent->hung))
		return -ETIMEDOUT;
	request->sequence = wait ? next_sequence(agent) : 0;
	agent->awaited = 0;
	error = send_request(agent, request, fd, deadline_ms);
	if (error == 0 && wait) {
		agent->awaited = request->sequence;
		error = wait_reply(agent, request->sequence, deadline_ms);
	}
	if (error == -ETIMEDOUT)
		atomic_store(&agent->hung, true);
	return error == -EPIPE ? -ENOTCONN : error;
}

/* Sends one request with a socket or -1; @wait: returns what the agent answers. */
static int request(struct datapath_agent *agent, struct agent_request *request, int fd, bool wait)
{
	bool hung;
	int error;

	(void)pthread_mutex_lock(&agent->lock);
	hung = atomic_load(&agent->hung);
	error = request_within(agent, request, fd, wait, agent->limit_ms);
	if (!hung && atomic_load(&agent->hung))
		log_warning("the host's agent has not answered for %u ms: its programs continue to "
			    "steer, but new addresses, routes and bypassed subnets wait until it "
			    "does. Is it stopped, or is the host overloaded?",
			    agent->limit_ms);
	(void)pthread_mutex_unlock(&agent->lock);
	return error;
}

/* Sends a request without a reply. The reply to the next commit has its error. */
static int tell(struct datapath_agent *agent, struct agent_request *what)
{
	agent->uncommitted = true;
	return request(agent, what, -1, false);
}

/*
 * Does likewise before anything is attached; the reply to the attachment has the error. Many of
 * these are sent in a row, and waiting for each reply would be most of a takeover's time. Later the
 * request has been done on return. With more sockets in flight than the user may have
 * (ETOOMANYREFS, unix(7)) the agent first takes those that were sent before.
 */
static int give(struct datapath_agent *agent, struct agent_request *what, int fd)
{
	struct agent_request commit = {.type = AGENT_COMMIT};
	bool wait = atomic_load(&agent->attached);
	int error = request(agent, what, fd, wait);

	if (error != -ETOOMANYREFS)
		return error;
	error = request(agent, &commit, -1, true);
	return error < 0 ? error : request(agent, what, fd, true);
}

static int agent_commit(struct datapath *base)
{
	struct agent_request commit = {.type = AGENT_COMMIT};
	struct datapath_agent *agent = self(base);
	int error;

	if (!agent->uncommitted)
		return 0;
	error = request(agent, &commit, -1, true);
	if (error < 0)
		return log_errno(error, "the host's agent could not change its maps");
	agent->uncommitted = false;
	return 0;
}

static int agent_set_listener(struct datapath *base, enum sidestep_listener slot, int fd)
{
	struct agent_request listener = {.type = AGENT_LISTENER, .slot = slot};

	return give(self(base), &listener, fd);
}

static int agent_set_gateway(struct datapath *base, const char *gateway)
{
	struct agent_request describe = {
		.type = AGENT_NAMESPACE,
		.namespace = {.mode = SIDESTEP_MODE_SIDECAR, .udp_pass = self(base)->udp},
	};

	if (self(base)->start == 0)
		self(base)->start = clock_ns();
	describe.namespace.start = self(base)->start;
	(void)snprintf(describe.namespace.gateway, sizeof(describe.namespace.gateway), "%s",
		       gateway);
	return give(self(base), &describe, -1);
}

static int agent_attach(struct datapath *base)
{
	struct agent_request attach = {.type = AGENT_ATTACH};
	int error = request(self(base), &attach, -1, true);

	if (error < 0)
		return log_errno(error, "the host's agent could not attach its programs to this "
					"network namespace; its own log tells more");
	atomic_store(&self(base)->attached, true);
	return 0;
}

static int agent_attach_device(struct datapath *base, uint32_t ifindex, enum datapath_device kind)
{
	static const enum agent_request_type types[] = {
		[DATAPATH_UPLINK] = AGENT_DEVICE_ATTACH,
		[DATAPATH_UPLINK_L3] = AGENT_L3_ATTACH,
		[DATAPATH_INNER] = AGENT_INNER_ATTACH,
	};
	struct agent_request attach = {
		.type = types[kind],
		.ifindex = ifindex,
	};
	int error = request(self(base), &attach, -1, true);

	if (error < 0 && error != -ENODEV)
		return log_errno(error,
				 "the host's agent could not attach its programs to device "
				 "%u; its own log tells more",
				 ifindex);
	return error;
}

static void agent_detach_device(struct datapath *base, uint32_t ifindex)
{
	struct agent_request detach = {.type = AGENT_DEVICE_DETACH, .ifindex = ifindex};

	(void)tell(self(base), &detach);
}

static int agent_bypass_set(struct datapath *base, const struct prefix *prefix,
			    const struct sidestep_bypass *value)
{
	struct agent_request set = {.type = AGENT_BYPASS_SET, .prefix = *prefix, .bypass = *value};

	return tell(self(base), &set);
}

static int agent_bypass_remove(struct datapath *base, const struct prefix *prefix)
{
	struct agent_request removal = {.type = AGENT_BYPASS_REMOVE, .prefix = *prefix};

	return tell(self(base), &removal);
}

static int agent_route_set(struct datapath *base, const uint8_t source[16],
			   const struct prefix *prefix, const struct sidestep_route *value)
{
	struct agent_request set = {.type = AGENT_ROUTE_SET, .prefix = *prefix, .route = *value};

	memcpy(set.source, source, sizeof(set.source));
	return tell(self(base), &set);
}

static int agent_route_remove(struct datapath *base, const uint8_t source[16],
			      const struct prefix *prefix)
{
	struct agent_request removal = {.type = AGENT_ROUTE_REMOVE, .prefix = *prefix};

	memcpy(removal.source, source, sizeof(removal.source));
	return tell(self(base), &removal);
}

static int agent_inbound_add(struct datapath *base, const struct sidestep_flow_key *key)
{
	struct agent_request add = {.type = AGENT_INBOUND_ADD, .flow = {.key = *key}};

	return tell(self(base), &add);
}

static int agent_own_socket(struct datapath *base, int fd, const struct sockaddr *destination)
{
	struct agent_request own = {.type = AGENT_OWN_SOCKET};
	int error = give(self(base), &own, fd);

	/* Without an agent, or with one that hangs, the socket is unmarked. It still reaches
	 * bypassed subnets, such as the application's own ports. Other connections go to the
	 * gateway. */
	return destination && (error == -ENOTCONN || error == -ETIMEDOUT) ? 0 : error;
}

/* Reports something for people only: dropped where the agent does not keep up. */
static void tell_people(const struct datapath_agent *agent, const struct agent_request *what)
{
	(void)rendezvous_send(agent->session, what, sizeof(*what), -1, MSG_DONTWAIT);
}

static void agent_flow_update(struct datapath *base, const struct flow *flow)
{
	struct agent_request update = {.type = AGENT_FLOW_UPDATE};

	datapath_flow_key(flow, &update.flow.key);
	update.flow.start = flow->start;
	update.flow.sent = flow->sent;
	update.flow.received = flow->received;
	tell_people(self(base), &update);
}

static void agent_flow_close(struct datapath *base, const struct flow *flow)
{
	struct agent_request close = {.type = AGENT_FLOW_CLOSE};

	datapath_flow_key(flow, &close.flow.key);
	tell_people(self(base), &close);
}

static int agent_report(struct datapath *base, const void *message, size_t size)
{
	const struct datapath_agent *agent = self(base);

	if (agent->events < 0)
		return -EOPNOTSUPP;
	return send(agent->events, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Gives the agent one end of a socket pair. Without it nothing is reported. */
static void offer_events(struct datapath_agent *agent)
{
	struct agent_request offer = {.type = AGENT_EVENTS};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	if (rendezvous_send(agent->session, &offer, sizeof(offer), ends[1], MSG_DONTWAIT) == 0)
		agent->events = TAKE_FD(ends[0]);
	(void)safe_close(ends[0]);
	(void)close(ends[1]);
}

void datapath_agent_forget(struct datapath *base)
{
	struct datapath_agent *agent = self(base);

	(void)safe_close(agent->session);
	(void)safe_close(agent->events);
	(void)pthread_mutex_destroy(&agent->lock);
	free(agent);
}

/* An agent that hangs finds the request when it continues, if the queue has room for it. */
static void agent_free(struct datapath *base)
{
	struct agent_request detach = {.type = AGENT_DETACH};
	struct datapath_agent *agent = self(base);
	bool hung = atomic_load(&agent->hung);
	int error = hung ? rendezvous_send(agent->session, &detach, sizeof(detach), -1,
					   MSG_DONTWAIT)
			 : request_within(agent, &detach, -1, true, DETACH_MS);

	if ((hung && error == 0) || (error == -ETIMEDOUT && agent->awaited))
		log_warning("the host's agent hangs, and detaches its programs when it continues; "
			    "until then they let nothing out");
	else if (error < 0)
		(void)log_errno(error, "the host's agent could not be told to detach its programs; "
				       "they go with the network namespace");
	datapath_agent_forget(base);
}

/* A session that ends without AGENT_DETACH leaves its programs. */
static int agent_leave(struct datapath *base)
{
	struct datapath_agent *agent = self(base);
	bool pass = agent->udp == SIDESTEP_UDP_PASS;
	int error = 0;

	if (pass)
		agent->udp = SIDESTEP_UDP_DENY;
	if (agent->start > 0)
		error = agent_set_gateway(base, "");
	datapath_agent_forget(base);
	if (error == 0 || !pass)
		return 0;
	return log_errno(error, "cannot tell the host's agent that --udp pass ends");
}

/* A takeover removes the sidecar's own table. This one is a predecessor's. */
static void agent_succeed(struct datapath *base)
{
	(void)base;
	datapath_nft_clear();
}

static const struct datapath_ops ops = {
	.name = "agent",
	.gateway_by_address = true,
	.free = agent_free,
	.leave = agent_leave,
	.succeed = agent_succeed,
	.set_listener = agent_set_listener,
	.set_gateway = agent_set_gateway,
	.attach = agent_attach,
	.attach_device = agent_attach_device,
	.detach_device = agent_detach_device,
	.bypass_set = agent_bypass_set,
	.bypass_remove = agent_bypass_remove,
	.route_set = agent_route_set,
	.route_remove = agent_route_remove,
	.inbound_add = agent_inbound_add,
	.commit = agent_commit,
	.own_socket = agent_own_socket,
	.flow_update = agent_flow_update,
	.flow_close = agent_flow_close,
	.report = agent_report,
};

int datapath_agent_fd(const struct datapath *datapath)
{
	return datapath && datapath->ops == &ops
		       ? ((const struct datapath_agent *)datapath)->session
		       : -1;
}

short datapath_agent_events(const struct datapath *datapath)
{
	const struct datapath_agent *agent = (const struct datapath_agent *)datapath;

	if (!atomic_load(&agent->hung))
		return 0;
	return agent->awaited ? POLLIN : POLLOUT;
}

bool datapath_agent_hangs(const struct datapath *datapath)
{
	return datapath->ops == &ops &&
	       atomic_load(&((const struct datapath_agent *)datapath)->hung);
}

bool datapath_agent_resume(struct datapath *datapath)
{
	struct agent_request commit = {.type = AGENT_COMMIT};
	struct datapath_agent *agent = self(datapath);
	int reply = 0;
	bool answers;

	(void)pthread_mutex_lock(&agent->lock);
	if (!agent->awaited) {
		commit.sequence = next_sequence(agent);
		if (rendezvous_send(agent->session, &commit, sizeof(commit), -1, MSG_DONTWAIT) == 0)
			agent->awaited = commit.sequence;
	}
	/* An error belongs to requests that are made again. */
	answers = agent->awaited && take_reply(agent, agent->awaited, &reply) == 0;
	if (answers)
		atomic_store(&agent->hung, false);
	(void)pthread_mutex_unlock(&agent->lock);
	return answers;
}

void datapath_agent_deserted(struct datapath *datapath)
{
	struct agent_request deserted = {.type = AGENT_DESERTED};

	if (datapath->ops == &ops)
		tell_people(self(datapath), &deserted);
}

int datapath_agent_new(int session_fd, enum sidestep_udp udp, unsigned int limit_ms,
		       struct datapath **ret_datapath)
{
	struct datapath_agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	agent->base.ops = &ops;
	agent->session = session_fd;
	agent->events = -1;
	offer_events(agent);
	agent->udp = udp;
	agent->limit_ms = limit_ms;
	(void)pthread_mutex_init(&agent->lock, NULL);
	*ret_datapath = &agent->base;
	return 0;
}
