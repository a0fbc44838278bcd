// SPDX-License-Identifier: Apache-2.0
#include "sidecar/docker_feed.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "docker/docker_networks.h"
#include "lib/clock.h"
#include "lib/escape.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/bridge_lookup.h"

/* Podman 4.3 has no events for networks that come and go. */
#define RESYNC_MS 30000

/* The part of a network that steering needs. */
struct feed_network {
	char name[256];
	char driver[32];
	char interface[IF_NAMESIZE]; /* "": it has no bridge */
	bool has_subnet;
	struct prefix subnet; /* the bridge has an address in it */
};

struct docker_feed {
	struct docker_networks *watch;
	struct sidecar_tenants *tenants; /* NULL: nobody wants to know */
	int event_fd;
	pthread_mutex_t lock;	  /* guards the members below */
	struct plan_given *given; /* subnets and the names of their networks */
	size_t given_count;
	struct feed_network *networks;
	size_t network_count;
	/* When the first event came that is not in the networks yet, in the networks and not
	 * applied, and applied and not in the datapath. ns, CLOCK_MONOTONIC; 0: none. */
	uint64_t heard_ns, listed_ns, applied_ns;
};

/* Moves the time of an event on. The older one counts. */
static void move_on(uint64_t *from, uint64_t *to)
{
	if (*to == 0)
		*to = *from;
	*from = 0;
}

static void on_event(void *context)
{
	struct docker_feed *feed = context;

	(void)pthread_mutex_lock(&feed->lock);
	if (feed->heard_ns == 0)
		feed->heard_ns = clock_ns();
	(void)pthread_mutex_unlock(&feed->lock);
}

static void copy_network(struct feed_network *copy, const struct docker_network *network)
{
	(void)snprintf(copy->name, sizeof(copy->name), "%s", network->name);
	(void)snprintf(copy->driver, sizeof(copy->driver), "%s", network->driver);
	memcpy(copy->interface, network->interface, sizeof(copy->interface));
	copy->has_subnet = network->subnet_count > 0;
	if (copy->has_subnet)
		copy->subnet = network->subnets[0].prefix;
}

static void on_networks(const struct docker_network *networks, size_t count, void *context)
{
	struct docker_feed *feed = context;
	struct feed_network *names = calloc(count + 1, sizeof(*names));
	size_t total = 0, used = 0, i, j;
	struct plan_given *given;

	for (i = 0; i < count; i++)
		total += networks[i].subnet_count;
	given = calloc(total + 1, sizeof(*given));
	if (!names || !given) {
		free(names);
		free(given);
		log_error("no memory for %zu Docker networks: the old ones stay in force", count);
		return;
	}
	for (i = 0; i < count; i++) {
		copy_network(&names[i], &networks[i]);
		for (j = 0; j < networks[i].subnet_count; j++, used++) {
			given[used].prefix = networks[i].subnets[j].prefix;
			/* The log and terminals show it. */
			(void)escape_text(given[used].network, sizeof(given[used].network),
					  networks[i].name);
		}
	}
	(void)pthread_mutex_lock(&feed->lock);
	free(feed->given);
	free(feed->networks);
	feed->given = given;
	feed->given_count = used;
	feed->networks = names;
	feed->network_count = count;
	move_on(&feed->heard_ns, &feed->listed_ns);
	(void)pthread_mutex_unlock(&feed->lock);
	(void)eventfd_write(feed->event_fd, 1);
}

static void on_tenants(const struct docker_tenant *tenants, size_t count, uint64_t since_ns,
		       void *context)
{
	const struct docker_feed *feed = context;

	if (feed->tenants)
		sidecar_tenants_update(feed->tenants, tenants, count, since_ns);
}

static void on_connected(bool connected, const char *reason, void *context)
{
	(void)context;
	if (connected)
		log_info("connected to Docker");
	else
		log_warning(
			"no connection to Docker: %s; the networks that it listed last stay bypassed",
			reason);
}

static const struct docker_networks_handler handler = {
	.networks = on_networks,
	.tenants = on_tenants,
	.event = on_event,
	.connected = on_connected,
	.resync_ms = RESYNC_MS,
};

int docker_feed_new(const char *socket_path, struct sidecar_tenants *tenants,
		    struct docker_feed **ret_feed)
{
	struct docker_feed *feed = calloc(1, sizeof(*feed));
	int error;

	if (!feed)
		return -ENOMEM;
	feed->tenants = tenants;
	(void)pthread_mutex_init(&feed->lock, NULL);
	feed->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = feed->event_fd < 0 ? log_errno(-errno, "cannot make an eventfd")
				   : docker_networks_new(socket_path, &handler, feed, &feed->watch);
	if (error < 0) {
		docker_feed_free(feed);
		return error;
	}
	*ret_feed = feed;
	return 0;
}

void docker_feed_free(struct docker_feed *feed)
{
	if (!feed)
		return;
	docker_networks_free(feed->watch);
	(void)safe_close(feed->event_fd);
	(void)pthread_mutex_destroy(&feed->lock);
	free(feed->given);
	free(feed->networks);
	free(feed);
}

int docker_feed_fd(const struct docker_feed *feed)
{
	return feed->event_fd;
}

static struct feed_network *find_network(const struct docker_feed *feed, const char *name)
{
	size_t i;

	for (i = 0; i < feed->network_count; i++)
		if (strcmp(feed->networks[i].name, name) == 0)
			return &feed->networks[i];
	return NULL;
}

/* Returns the interface of the network of that name. Otherwise @name is an interface itself. Podman
 * names its bridges otherwise than Docker (podman1), and tells only their subnets. */
static const char *interface_of(const struct docker_feed *feed, const char *name)
{
	struct feed_network *network = find_network(feed, name);

	if (!network || network->interface[0] == '\0')
		return name;
	if (network->has_subnet && !if_nametoindex(network->interface))
		(void)bridge_lookup(&network->subnet, network->interface);
	return network->interface;
}

bool docker_feed_lacks_bridges(struct docker_feed *feed, const struct option_strings *bridges)
{
	size_t lacking = 0, i;

	(void)pthread_mutex_lock(&feed->lock);
	for (i = 0; i < bridges->count; i++) {
		const struct feed_network *network = find_network(feed, bridges->values[i]);

		if (!network || network->interface[0] != '\0')
			continue;
		log_error("--bridge %s: that network's driver is %s, which has no bridge: give its "
			  "containers sidecars, or a network of the driver bridge",
			  network->name, network->driver);
		lacking++;
	}
	(void)pthread_mutex_unlock(&feed->lock);
	return lacking == bridges->count;
}

int docker_feed_apply(struct docker_feed *feed, struct steering *steering,
		      const struct option_strings *bridges)
{
	_cleanup_free_ const char **names = calloc(bridges->count + 1, sizeof(*names));
	eventfd_t value;
	size_t i;
	int error;

	if (!names)
		return -ENOMEM;
	(void)eventfd_read(feed->event_fd, &value);
	(void)pthread_mutex_lock(&feed->lock);
	for (i = 0; i < bridges->count; i++)
		names[i] = interface_of(feed, bridges->values[i]);
	error = steering_set_docker(steering, feed->given, feed->given_count);
	if (error == 0)
		error = steering_set_bridges(steering, names, bridges->count);
	if (error == 0)
		move_on(&feed->listed_ns, &feed->applied_ns);
	(void)pthread_mutex_unlock(&feed->lock);
	return error;
}

bool docker_feed_synced(struct docker_feed *feed, uint64_t *ret_us)
{
	uint64_t since;

	(void)pthread_mutex_lock(&feed->lock);
	since = feed->applied_ns;
	feed->applied_ns = 0;
	(void)pthread_mutex_unlock(&feed->lock);
	if (since == 0)
		return false;
	*ret_us = (clock_ns() - since) / 1000;
	return true;
}
