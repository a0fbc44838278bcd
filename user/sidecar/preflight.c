// SPDX-License-Identifier: Apache-2.0
#include "sidecar/preflight.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#include "lib/address.h"
#include "lib/await.h"
#include "lib/clock.h"
#include "lib/condition.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "net/bare_devices.h"
#include "sidecar/gateway_echo.h"

/* No event tells that the full queue of a unix socket has room again, so connect() is repeated. */
#define RETRY_MS 20
/* The check of a near gateway that cannot be used is repeated after this time, ms. */
#define REPEAT_MS 2000

struct preflight {
	struct preflight_config config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct socket_address gateway; /* the newest request */
	bool pending;
	bool repeats, failed; /* of the last check */
	uint64_t failures;    /* connections that had failed before it */
	bool stopping;
	int stop_fd;
};

static const struct {
	int error;
	bool local; /* of unix sockets */
	struct preflight_advice advice;
} known[] = {
	{ECONNREFUSED,
	 false,
	 {"nothing listens there",
	  "start the gateway on an address that containers reach (0.0.0.0 or the Docker bridge's), "
	  "not only on the host's 127.0.0.1. On Docker Desktop host.docker.internal must lead to "
	  "the gateway's machine"}},
	{EHOSTUNREACH,
	 false,
	 {"no host answers at that address",
	  "start the container that owns the network namespace with --add-host "
	  "host.docker.internal:host-gateway, or give the right --gateway-ip. If a firewall "
	  "rejects, let the port in from the Docker bridge"}},
	{ENETUNREACH,
	 false,
	 {"no route leads there",
	  "connect the container that owns the network namespace to a network (not --network none) "
	  "and start it with --add-host host.docker.internal:host-gateway. An IPv6 gateway needs a "
	  "network with IPv6"}},
	{ETIMEDOUT,
	 false,
	 {"no answer within the limit: a firewall between container and host drops packets, or the "
	  "address is nobody's",
	  "let the gateway's port in from the Docker bridge (INPUT chain, ufw, firewalld), and check "
	  "--gateway-ip"}},
	{ENOENT,
	 true,
	 {"no such socket", "start the gateway, and mount the directory of its socket (-v)"}},
	{EACCES,
	 true,
	 {"permission denied",
	  "let this user search the directories and write to the socket (chmod, --user)"}},
	{ECONNREFUSED,
	 true,
	 {"the socket is there, but nobody listens on it",
	  "start the gateway again. Mount the socket's directory, not the socket, or a new socket "
	  "stays invisible"}},
	{ETIMEDOUT,
	 true,
	 {"it listens, but accepts nothing", "check whether the gateway is overloaded or hangs"}},
};

struct preflight_advice preflight_explain(const struct socket_address *gateway, int error)
{
	static _Thread_local char text[128];
	bool local = gateway->address.ss_family == AF_UNIX;
	size_t i;

	if (error == -ECONNREFUSED && !local && socket_address_is_loopback(gateway))
		return (struct preflight_advice) {
			"nothing listens there",
			"start the gateway. In a container this is the container's own loopback. For a "
			"gateway on the host give host.docker.internal's address"};
	if (!local && error != -ECONNREFUSED && devices_are_bare())
		return (struct preflight_advice) {
			"no device here has an address, as in a container of gVisor (runsc), whose own "
			"network stack has them",
			"intercept such containers from the host with --bridge"};
	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].error == -error && known[i].local == local)
			return known[i].advice;
	return (struct preflight_advice) {strerror_r(-error, text, sizeof(text)),
					  "check the gateway's address"};
}

static int try_connect(int fd, const struct preflight_config *config,
		       const struct socket_address *gateway)
{
	uint64_t deadline = clock_ms() + config->limit_ms;
	int error;
	socklen_t size = sizeof(error);

	while (connect(fd, (const struct sockaddr *)&gateway->address, gateway->size) < 0) {
		uint64_t retry = clock_ms() + RETRY_MS;

		if (errno == EINPROGRESS) {
			error = await(fd, POLLOUT, config->stop_fd, deadline);
			if (error < 0)
				return error;
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno
										       : -error;
		}
		if (errno != EAGAIN)
			return -errno;
		error = await(-1, 0, config->stop_fd, retry < deadline ? retry : deadline);
		if (error == -ECANCELED || clock_ms() >= deadline)
			return error;
	}
	return 0;
}

/* Returns a socket that is connected to the gateway, or negative errno. */
static int reach(const struct preflight_config *config, const struct socket_address *gateway)
{
	const struct sockaddr *address = (const struct sockaddr *)&gateway->address;
	_cleanup_close_ int fd = address->sa_family == AF_UNSPEC
					 ? -EDESTADDRREQ
					 : dial_socket(&config->announcer, address);
	int error = fd < 0 ? fd : try_connect(fd, config, gateway);

	return error < 0 ? error : TAKE_FD(fd);
}

int preflight_check(const struct preflight_config *config, const struct socket_address *gateway)
{
	_cleanup_close_ int fd = reach(config, gateway);

	return fd < 0 ? fd : 0;
}

/* Does the same, and looks for a loop where the gateway is near. Returns -ELOOP for one. */
static int check_all(const struct preflight_config *config, const struct socket_address *gateway,
		     bool *ret_near)
{
	bool near = config->proxy && gateway->address.ss_family != AF_UNSPEC &&
		    gateway_is_near(gateway, config->bridge_mode);
	_cleanup_close_ int fd = reach(config, gateway);
	int result = fd;

	*ret_near = near;

	if (fd >= 0)
		result = near ? gateway_echo_check(fd, config->proxy, config->stop_fd) : 0;
	return result > 0 ? -ELOOP : result;
}

/*
 * Checks the gateway, and if it has a name its other addresses, until one can be reached. That one
 * is the gateway from then on. Returns the last check's result, or why the name has no address.
 */
static int check_addresses(struct preflight *preflight, struct socket_address *gateway,
			   bool *ret_near)
{
	const struct preflight_config *config = &preflight->config;
	const struct socket_address former = *gateway;
	struct socket_address others[NAME_LOOKUP_MAX];
	int error = check_all(config, gateway, ret_near), count, i;

	if (error == 0 || error == -ECANCELED || error == -ELOOP || !config->finder)
		return error;
	count = gateway_finder_find(config->finder, gateway, others);
	if (count < 0)
		return gateway->address.ss_family == AF_UNSPEC || count == -ECANCELED ? count
										      : error;
	for (i = 0; i < count && error < 0 && error != -ECANCELED; i++) {
		if (socket_address_equal(&others[i], &former) ||
		    config->move(config->context, &others[i]) < 0)
			continue;
		*gateway = others[i];
		error = check_all(config, gateway, ret_near);
	}
	return error;
}

static void report_name(const struct gateway_target *target, int error)
{
	const char *cause, *remedy;

	gateway_target_explain(error, &cause, &remedy);
	log_warning("preflight: the gateway's name %s has no address, connections to the outside "
		    "will be reset: %s; %s",
		    target->host, cause, remedy);
}

static void report(const struct socket_address *gateway, int error, bool bridge_mode)
{
	struct preflight_advice advice = preflight_explain(gateway, error);
	char text[SOCKET_ADDRESS_TEXT_MAX];

	(void)socket_address_format(gateway, text);
	if (error == 0)
		log_info("preflight: the gateway %s can be reached", text);
	else if (error == -ELOOP)
		log_warning("preflight: the gateway %s is itself intercepted, and its own "
			    "connections come back to it: all connections are refused; start it %s",
			    text,
			    bridge_mode
				    ? "on the host, or on a bridge that is not steered"
				    : "elsewhere, or let it out (--exempt-uid, --exempt-cgroup)");
	else
		log_warning("preflight: the gateway %s cannot be reached, connections to the "
			    "outside will be reset: %s; %s",
			    text, advice.cause, advice.remedy);
}

/* Connections that have failed in a way that a loop, or another gateway in its place, explains. */
static uint64_t count_failures(const struct preflight *preflight)
{
	struct proxy_counters counters;

	proxy_counters(preflight->config.proxy, &counters);
	return counters.gateway_errors + counters.refused_limit;
}

/* Waits for a request. A gateway that is near or has a name is checked again while it cannot be
 * used, and if connections have failed. With the lock. */
static void await_request(struct preflight *preflight)
{
	if (!preflight->repeats) {
		(void)pthread_cond_wait(&preflight->wanted, &preflight->lock);
		return;
	}
	if (condition_wait_until(&preflight->wanted, &preflight->lock, clock_ms() + REPEAT_MS) ==
	    ETIMEDOUT)
		preflight->pending = preflight->failed ||
				     count_failures(preflight) != preflight->failures;
}

static void *run(void *context)
{
	struct preflight *preflight = context;
	const struct preflight_config *config = &preflight->config;
	struct socket_address reported = {.size = 0};
	int reported_error = 0;

	(void)pthread_mutex_lock(&preflight->lock);
	while (!preflight->stopping) {
		struct socket_address gateway = preflight->gateway;
		bool near;
		int error;

		if (!preflight->pending) {
			await_request(preflight);
			continue;
		}
		preflight->pending = false;
		(void)pthread_mutex_unlock(&preflight->lock);
		if (config->proxy)
			preflight->failures = count_failures(preflight);
		error = check_addresses(preflight, &gateway, &near);
		if (config->proxy && error != -ECANCELED)
			proxy_set_looping(config->proxy, error == -ELOOP);
		if (error != -ECANCELED &&
		    (error != reported_error || !socket_address_equal(&gateway, &reported))) {
			if (gateway.address.ss_family == AF_UNSPEC)
				report_name(config->finder->target, error);
			else
				report(&gateway, error, config->bridge_mode);
			reported = gateway;
			reported_error = error;
		}
		(void)pthread_mutex_lock(&preflight->lock);
		preflight->repeats = near || config->finder;
		if (!preflight->pending)
			preflight->gateway = gateway;
		preflight->failed = error < 0;
	}
	(void)pthread_mutex_unlock(&preflight->lock);
	return NULL;
}

int preflight_new(const struct preflight_config *config, struct preflight **ret_preflight)
{
	struct preflight *preflight = calloc(1, sizeof(*preflight));
	int error;

	if (!preflight)
		return -ENOMEM;
	preflight->config = *config;
	preflight->stop_fd = eventfd(0, EFD_CLOEXEC);
	preflight->config.stop_fd = preflight->stop_fd;
	if (config->finder) {
		config->finder->lookup.announcer = config->announcer;
		config->finder->lookup.stop_fd = preflight->stop_fd;
	}
	(void)pthread_mutex_init(&preflight->lock, NULL);
	condition_init(&preflight->wanted);
	error = preflight->stop_fd < 0 ? -errno
				       : -pthread_create(&preflight->thread, NULL, run, preflight);
	if (error < 0) {
		(void)safe_close(preflight->stop_fd);
		free(preflight);
		return log_errno(error, "cannot start the thread that checks the gateway");
	}
	*ret_preflight = preflight;
	return 0;
}

void preflight_request(struct preflight *preflight, const struct socket_address *gateway)
{
	(void)pthread_mutex_lock(&preflight->lock);
	preflight->gateway = *gateway;
	preflight->pending = true;
	(void)pthread_cond_signal(&preflight->wanted);
	(void)pthread_mutex_unlock(&preflight->lock);
}

void preflight_free(struct preflight *preflight)
{
	if (!preflight)
		return;
	(void)pthread_mutex_lock(&preflight->lock);
	preflight->stopping = true;
	(void)pthread_cond_signal(&preflight->wanted);
	(void)pthread_mutex_unlock(&preflight->lock);
	(void)eventfd_write(preflight->stop_fd, 1);
	(void)pthread_join(preflight->thread, NULL);
	(void)safe_close(preflight->stop_fd);
	(void)pthread_mutex_destroy(&preflight->lock);
	(void)pthread_cond_destroy(&preflight->wanted);
	free(preflight);
}
