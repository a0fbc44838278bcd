// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_session.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/agent_events.h"
#include "agent/agent_guard.h"
#include "datapath/agent_wire.h"
#include "datapath/rendezvous.h"
#include "lib/clock.h"
#include "lib/complaint.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/programs_maps.h"

/* A session serves this many requests before others get their turn. */
#define BURST 64

/*
 * The limits of a namespace, for all its sessions together. A steered connection costs three
 * requests. A request for attachments locks the whole machine's network settings (rtnl) for a
 * while. A session that has spent one of these two waits, and its sidecar with it. Prefixes are in
 * tries that all namespaces share; those beyond the limit are refused.
 */
static const struct agent_allowance requests_allowed = {.burst = 65536, .per_minute = 3932160};
static const struct agent_allowance attachments_allowed = {.burst = 256, .per_minute = 240};
static const struct agent_allowance prefixes_allowed = {
	.burst = 2 * SIDESTEP_MAX_BYPASS + 2 * SIDESTEP_MAX_ROUTES,
	.per_minute = 6,
};

struct agent_session {
	struct loop_handler handler;
	struct loop *loop;
	struct loop_timer_class *pause_class;
	struct loop_timer pause; /* runs while the session waits for its allowance */
	struct agent_namespace *namespace;
	pid_t pid;
	int error;     /* the first one since the last reply */
	bool attached; /* its programs, all of them */
	bool detached;
	struct agent_report report;
	struct loop_task end;
	const struct agent_session_handler *told;
	void *context;
	char name[64];
};

/* Refuses a socket that is not of the sidecar's own namespace, or not of @type. 0: any type. */
static int check_socket(const struct agent_session *session, int fd, int type, bool listening)
{
	struct complaint *complaint = &session->namespace->complaint;
	char suffix[COMPLAINT_SUFFIX_MAX];
	uint64_t cookie = 0;
	int found = 0, accepts = 0;
	socklen_t int_size = sizeof(int);

	if (fd == -EMFILE) {
		if (complaint_due(complaint, suffix))
			(void)log_errno(fd, "%s: cannot open a socket of its sidecar%s",
					session->name, suffix);
		return fd;
	}
	if (fd < 0 || netns_cookie_of(fd, &cookie) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &int_size) < 0)
		return -EBADF;
	(void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &int_size);
	if (cookie != session->namespace->netns || (type && found != type) ||
	    (listening && !accepts)) {
		if (complaint_due(complaint, suffix))
			log_error("%s: refused a socket that is not of its network namespace, or "
				  "of another kind than it says%s",
				  session->name, suffix);
		return -EINVAL;
	}
	return 0;
}

static int set_listener(struct agent_session *session, const struct agent_request *request, int fd)
{
	const struct agent_namespace *namespace = session->namespace;
	bool tcp = request->slot == SIDESTEP_LISTENER_TCP4 ||
		   request->slot == SIDESTEP_LISTENER_TCP6 ||
		   request->slot == SIDESTEP_LISTENER_TCP4_LO;
	int error;

	if (request->slot >= SIDESTEP_LISTENERS)
		return -EINVAL;
	error = check_socket(session, fd, tcp ? SOCK_STREAM : SOCK_DGRAM, tcp);
	if (error == 0)
		error = programs_listener_set(namespace->programs, namespace->netns, request->slot,
					      fd);
	return error;
}

static int own_socket(struct agent_session *session, int fd)
{
	int error = check_socket(session, fd, 0, false);

	return error < 0 ? error : programs_own_socket(session->namespace->programs, fd, false);
}

static int describe(struct agent_session *session, const struct agent_request *request)
{
	struct agent_namespace *namespace = session->namespace;
	struct sidestep_namespace value = request->namespace;
	char text[sizeof(value.gateway)];
	int error;

	value.mode = SIDESTEP_MODE_SIDECAR;
	if (value.udp_pass > SIDESTEP_UDP_DROP)
		value.udp_pass = SIDESTEP_UDP_DENY;
	value.pid = (uint32_t)session->pid;
	/* `sidestep status` prints it on root's terminal. */
	(void)snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1,
		       request->namespace.gateway);
	(void)escape_text(value.gateway, sizeof(value.gateway), text);
	(void)snprintf(value.name, sizeof(value.name), "%s", session->name);
	error = programs_namespace_set(namespace->programs, namespace->netns, &value);
	return error < 0 ? error
			 : agent_outer_describe(&namespace->outer, namespace->programs,
						namespace->netns, &value);
}

/* Sets a bypass, or removes it (@value is NULL), also in the outer guard. */
static int change_bypass(struct agent_namespace *namespace, const struct prefix *prefix,
			 const struct sidestep_bypass *value)
{
	const struct programs *programs = namespace->programs;
	int error = agent_outer_sidecar(&namespace->outer, programs, namespace->netns, prefix,
					value ? value->sources : 0);

	if (error < 0)
		return error;
	return value ? programs_bypass_set(programs, namespace->netns, prefix, value)
		     : programs_bypass_remove(programs, namespace->netns, prefix);
}

/* Adds or removes a bypass or a route. A namespace must not fill the tries, which all share. */
static int change_prefix(struct agent_session *session, const struct agent_request *request)
{
	struct agent_namespace *namespace = session->namespace;
	const struct programs *programs = namespace->programs;
	const struct prefix *prefix = &request->prefix;
	char suffix[COMPLAINT_SUFFIX_MAX];

	if (prefix->length > 128)
		return -EINVAL;
	switch (request->type) {
	case AGENT_BYPASS_REMOVE:
		return change_bypass(namespace, prefix, NULL);
	case AGENT_ROUTE_REMOVE:
		return programs_route_remove(programs, namespace->netns, request->source, prefix);
	}
	if (!agent_budget_left(&namespace->prefixes, &prefixes_allowed, clock_ms())) {
		if (complaint_due(&namespace->complaint, suffix))
			log_error("%s: refused more than %u changes of prefixes%s", session->name,
				  prefixes_allowed.burst, suffix);
		return -ENOSPC;
	}
	agent_budget_spend(&namespace->prefixes);
	return request->type == AGENT_BYPASS_SET
		       ? change_bypass(namespace, prefix, &request->bypass)
		       : programs_route_set(programs, namespace->netns, request->source, prefix,
					    &request->route);
}

/* Reports an attachment, unless @error. Returns the first error. */
static int attached(const struct agent_session *session, uint32_t ifindex, int error)
{
	return error < 0 ? error : session->told->attached(session->context, session, ifindex);
}

static int detach(struct agent_session *session)
{
	struct agent_namespace *namespace = session->namespace;

	session->detached = true;
	if (!namespace->kept) {
		(void)agent_namespace_remove(namespace);
		return 0;
	}
	agent_namespace_shut(namespace);
	return attached(session, 0, agent_guard_close(namespace));
}

/* Adds a flow that came from outside before the programs were attached. */
static int add_inbound(const struct agent_session *session, const struct sidestep_flow_key *key)
{
	const struct agent_namespace *namespace = session->namespace;
	int error = programs_inbound_add(namespace->programs, namespace->netns, key);

	/* An outer guard that was there already has seen the flow itself, or there is none. */
	if (error == 0 && namespace->seeds_out)
		error = programs_inbound_add(namespace->programs, namespace->netns | SIDESTEP_OUTER,
					     key);
	return error;
}

static int attach(struct agent_session *session)
{
	int error = agent_namespace_attach(session->namespace);

	session->attached |= error == 0;
	return attached(session, 0, error);
}

/* The sidecar says why it ends. Its programs stay, and go with the namespace. */
static void update_flow(const struct agent_session *session, const struct agent_request *request)
{
	const struct agent_namespace *namespace = session->namespace;
	struct sidestep_flow value = {
		.start = request->flow.start,
		.bytes_sent = request->flow.sent,
		.bytes_received = request->flow.received,
		.verdict = SIDESTEP_STEER_TCP,
	};

	(void)programs_opener_find(namespace->programs, namespace->netns, &request->flow.key,
				   &value.opener);
	programs_flow_update(namespace->programs, namespace->netns, &request->flow.key, &value);
}

static int note_desertion(const struct agent_session *session)
{
	char suffix[COMPLAINT_SUFFIX_MAX];

	if (complaint_due(&session->namespace->complaint, suffix))
		log_warning("%s: its network namespace has lost its last device that leads "
			    "outside, so its sidecar ends. A restarted application has a new "
			    "network namespace, and needs a new sidecar%s",
			    session->name, suffix);
	return 0;
}

static int serve(struct agent_session *session, const struct agent_request *request, int fd)
{
	struct agent_namespace *namespace = session->namespace;
	const struct programs *programs = namespace->programs;

	switch (request->type) {
	case AGENT_LISTENER:
		return set_listener(session, request, fd);
	case AGENT_NAMESPACE:
		return describe(session, request);
	case AGENT_BYPASS_SET:
	case AGENT_BYPASS_REMOVE:
	case AGENT_ROUTE_SET:
	case AGENT_ROUTE_REMOVE:
		return change_prefix(session, request);
	case AGENT_DEVICE_ATTACH:
	case AGENT_L3_ATTACH:
		return attached(session, request->ifindex,
				agent_namespace_attach_device(namespace, request->ifindex,
							      request->type == AGENT_L3_ATTACH
								      ? DATAPATH_UPLINK_L3
								      : DATAPATH_UPLINK));
	case AGENT_INNER_ATTACH:
		/* Its other end is none of the host's. */
		session->told->settled(session->context, session, request->ifindex);
		return attached(session, 0,
				agent_namespace_attach_device(namespace, request->ifindex,
							      DATAPATH_INNER));
	case AGENT_DEVICE_DETACH:
		session->told->settled(session->context, session, request->ifindex);
		agent_namespace_detach_device(namespace, request->ifindex);
		return 0;
	case AGENT_ATTACH:
		return attach(session);
	case AGENT_DETACH:
		return detach(session);
	case AGENT_INBOUND_ADD:
		return add_inbound(session, &request->flow.key);
	case AGENT_OWN_SOCKET:
		return own_socket(session, fd);
	case AGENT_FLOW_UPDATE:
		update_flow(session, request);
		return 0;
	case AGENT_FLOW_CLOSE:
		programs_flow_remove(programs, namespace->netns, &request->flow.key);
		return 0;
	case AGENT_COMMIT:
		return 0;
	case AGENT_DESERTED:
		return note_desertion(session);
	case AGENT_EVENTS:
		return agent_report_open(&session->report, namespace->events, namespace->netns, fd);
	}
	return -EOPNOTSUPP;
}

/* Guards the namespace inside and outside, even where one of both fails. */
static void close_namespace(const struct agent_session *session)
{
	int inside = agent_guard_close(session->namespace);
	int outside = session->told->attached(session->context, session, 0);

	if (inside == 0 && outside == 0)
		log_warning("%s: its sidecar ended before it steered; nothing gets out of its "
			    "network namespace until the next one does",
			    session->name);
	else
		log_error("%s: its sidecar ended before it steered, and its network namespace is "
			  "not wholly closed",
			  session->name);
}

static void end_session(struct loop_task *task)
{
	struct agent_session *session = container_of(task, struct agent_session, end);

	/* Its start failed, and the application may run without a sidecar from now on. */
	if (!session->attached && !session->detached)
		close_namespace(session);
	session->told->ended(session->context, session, session->detached);
	agent_session_free(session);
}

static bool is_attachment(uint32_t type)
{
	return type == AGENT_ATTACH || type == AGENT_DEVICE_ATTACH || type == AGENT_INNER_ATTACH ||
	       type == AGENT_DEVICE_DETACH || type == AGENT_DETACH;
}

/* Serves one request and sends the reply if the sidecar wants one. -EAGAIN: there is no request,
 * -EBUSY: the namespace has spent its allowance for now. */
static int serve_next(struct agent_session *session)
{
	struct agent_request request;
	struct agent_reply reply;
	_cleanup_close_ int fd = -1;
	struct agent_namespace *namespace = session->namespace;
	uint64_t now_ms = clock_ms();
	int size, error;

	if (!agent_budget_left(&namespace->requests, &requests_allowed, now_ms) ||
	    !agent_budget_left(&namespace->attachments, &attachments_allowed, now_ms))
		return -EBUSY;
	size = rendezvous_receive(session->handler.fd, &request, sizeof(request), &fd,
				  MSG_DONTWAIT);
	if (size < 0)
		return size;
	if (size != sizeof(request))
		return -EBADMSG;
	agent_budget_spend(&namespace->requests);
	if (is_attachment(request.type))
		agent_budget_spend(&namespace->attachments);
	error = serve(session, &request, fd);
	if (session->error == 0)
		session->error = error;
	if (!request.sequence)
		return 0;
	reply = (struct agent_reply) {.sequence = request.sequence, .error = session->error};
	session->error = 0;
	return rendezvous_send(session->handler.fd, &reply, sizeof(reply), -1, MSG_DONTWAIT);
}

/* The task frees the handler's memory, which must outlive the batch of events in progress. */
void agent_session_end(struct agent_session *session)
{
	loop_timer_stop(&session->pause);
	loop_close(&session->handler);
	agent_report_drain(&session->report);
	session->end.run = end_session;
	loop_defer(session->loop, &session->end);
}

void agent_session_drain(struct agent_session *session)
{
	/* Nothing comes behind what is queued. */
	(void)shutdown(session->handler.fd, SHUT_RD);
	while (serve_next(session) == 0)
		;
}

void agent_session_expel(struct agent_session *session)
{
	(void)detach(session);
	agent_session_end(session);
}

/* Serves nothing for a while. Returns 0 or a negative errno. */
static int pause_session(struct agent_session *session)
{
	char suffix[COMPLAINT_SUFFIX_MAX];

	if (complaint_due(&session->namespace->complaint, suffix))
		log_warning("%s: its sidecar asks for too much and has to wait%s", session->name,
			    suffix);
	loop_timer_start(session->loop, session->pause_class, &session->pause);
	return loop_modify(session->loop, &session->handler, 0);
}

static void pause_expired(struct loop_timer *timer)
{
	struct agent_session *session = container_of(timer, struct agent_session, pause);

	if (loop_modify(session->loop, &session->handler, EPOLLIN) < 0)
		agent_session_end(session);
}

static void session_ready(struct loop_handler *handler, uint32_t events)
{
	struct agent_session *session = container_of(handler, struct agent_session, handler);
	int i, error = 0;

	for (i = 0; i < BURST && error == 0; i++)
		error = serve_next(session);
	/* epoll(7) reports a hang-up also to a session that waits. */
	if (error == -EBUSY && !(events & EPOLLHUP))
		error = pause_session(session);
	if (error == 0 || error == -EAGAIN)
		return;
	if (error != -EPIPE)
		(void)log_errno(error, "%s: ended the session with its sidecar", session->name);
	agent_session_end(session);
}

/* A link or a filter is there from before the session. */
static void found_outer(void *context, uint32_t ifindex)
{
	(void)ifindex;
	((struct agent_namespace *)context)->seeds_out = false;
}

int agent_session_new(struct loop *loop, struct loop_timer_class *pause_class, int fd,
		      const char *name, pid_t pid, struct agent_namespace *namespace,
		      const struct agent_session_handler *session_handler, void *context,
		      struct agent_session **ret_session)
{
	struct agent_session *session = calloc(1, sizeof(*session));
	int error;

	if (!session) {
		(void)safe_close(fd);
		return -ENOMEM;
	}
	session->loop = loop;
	session->namespace = namespace;
	namespace->seeds_out = true;
	agent_namespace_each_outer(namespace, found_outer, namespace);
	session->pid = pid;
	session->told = session_handler;
	session->context = context;
	(void)snprintf(session->name, sizeof(session->name), "%s", name);
	session->handler.fd = -1;
	session->report.handler.fd = -1;
	session->handler.ready = session_ready;
	session->pause_class = pause_class;
	session->pause.expired = pause_expired;
	error = loop_add(loop, &session->handler, fd, EPOLLIN);
	if (error < 0) {
		(void)safe_close(fd);
		free(session);
		return error;
	}
	*ret_session = session;
	return 0;
}

void agent_session_free(struct agent_session *session)
{
	if (!session)
		return;
	loop_cancel(&session->end);
	loop_timer_stop(&session->pause);
	loop_close(&session->handler);
	agent_report_close(&session->report);
	free(session);
}

struct agent_namespace *agent_session_namespace(const struct agent_session *session)
{
	return session->namespace;
}

const char *agent_session_name(const struct agent_session *session)
{
	return session->name;
}
