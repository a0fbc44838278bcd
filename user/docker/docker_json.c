// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

/* The events that change the answers, all of which DOCKER_NETWORKS_EVENT_FILTERS lets through.
 * "start" and "die" matter because a container joins its networks shortly before it counts as
 * running. A container that is created is listed before its processes can connect. */
static const struct {
	const char *type;
	const char *action;
	enum docker_event_effect effect;
} relevant_events[] = {
	{"network", "create", DOCKER_EVENT_CHANGED},
	{"network", "connect", DOCKER_EVENT_CHANGING},
	{"network", "disconnect", DOCKER_EVENT_CHANGING},
	{"network", "destroy", DOCKER_EVENT_CHANGED},
	{"network", "remove", DOCKER_EVENT_CHANGED},
	{"network", "update", DOCKER_EVENT_CHANGED},
	{"container", "create", DOCKER_EVENT_CHANGED},
	{"container", "start", DOCKER_EVENT_CHANGED},
	{"container", "die", DOCKER_EVENT_CHANGED},
	{"container", "destroy", DOCKER_EVENT_CHANGED},
	{"container", "rename", DOCKER_EVENT_CHANGED},
	{"daemon", "reload", DOCKER_EVENT_CHANGED},
};

int docker_refuse(int error, char reason[DOCKER_REASON_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason, DOCKER_REASON_MAX, format, arguments);
	va_end(arguments);
	return error;
}

/* Replaces each NUL by U+FFFD in a copy. jansson rejects a NUL in a key, but any image's labels may
 * have one, which must not hide all other containers. Returns NULL with errno 0 if there is none.
 */
static char *without_nuls(const char *text, size_t size)
{
	static const char nul[] = "\\u0000";
	const size_t length = sizeof(nul) - 1;
	char *copy;
	size_t i;

	errno = 0;
	if (!memmem(text, size, nul, length))
		return NULL;
	copy = malloc(size);
	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	for (i = 0; i + length <= size; i++) {
		if (copy[i] != '\\')
			continue;
		if (memcmp(copy + i, nul, length) == 0)
			memcpy(copy + i + 2, "fffd", 4);
		/* An escaped character starts no escape. */
		i++;
	}
	return copy;
}

json_t *docker_load(const char *what, const char *text, size_t size, char reason[DOCKER_REASON_MAX])
{
	_cleanup_free_ char *replaced = NULL;
	json_error_t error;
	json_t *value;

	if (size == 0) {
		(void)docker_refuse(-EBADMSG, reason, "%s: the answer is empty", what);
		return NULL;
	}
	replaced = without_nuls(text, size);
	if (!replaced && errno != 0) {
		(void)docker_refuse(-ENOMEM, reason, "%s: out of memory", what);
		return NULL;
	}
	/* Two keys may have become the same. */
	value = json_loadb(replaced ? replaced : text, size, replaced ? 0 : JSON_REJECT_DUPLICATES,
			   &error);
	if (!value)
		(void)docker_refuse(-EBADMSG, reason, "%s: not valid JSON at byte %d of %zu: %s",
				    what, error.position, size, error.text);
	return value;
}

/* Returns NULL for "" too, which the engine writes for an absent value. */
static const char *filled(const char *text)
{
	return text && *text ? text : NULL;
}

static int parse_subnet(json_t *config, const char *where, struct docker_subnet *subnet,
			char reason[DOCKER_REASON_MAX])
{
	const char *text = NULL, *gateway = NULL;
	char address[ADDRESS_TEXT_MAX];
	json_error_t error;

	if (json_unpack_ex(config, &error, 0, "{s?s, s?s}", "Subnet", &text, "Gateway", &gateway) <
	    0)
		return docker_refuse(-EBADMSG, reason, "%s: IPAM.Config: %s", where, error.text);
	if (!filled(text))
		return 0;
	if (prefix_parse_lenient(text, &subnet->prefix) < 0)
		return docker_refuse(-EBADMSG, reason, "%s: Subnet '%.64s' is not a prefix", where,
				     text);
	if (!filled(gateway))
		return 1;
	/* Some engines append the prefix length. */
	(void)snprintf(address, sizeof(address), "%.*s", (int)strcspn(gateway, "/"), gateway);
	if (address_parse(address, subnet->gateway) < 0)
		return docker_refuse(-EBADMSG, reason, "%s: Gateway '%.64s' is not an address",
				     where, gateway);
	subnet->has_gateway = true;
	return 1;
}

static int parse_subnets(json_t *configs, const char *where, struct docker_network *network,
			 char reason[DOCKER_REASON_MAX])
{
	size_t index;
	json_t *config;
	int result;

	if (!configs || json_is_null(configs))
		return 0;
	if (!json_is_array(configs))
		return docker_refuse(-EBADMSG, reason, "%s: IPAM.Config is not an array", where);
	if (json_array_size(configs) == 0)
		return 0;
	network->subnets = calloc(json_array_size(configs), sizeof(*network->subnets));
	if (!network->subnets)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	json_array_foreach (configs, index, config) {
		result = parse_subnet(config, where, &network->subnets[network->subnet_count],
				      reason);
		if (result < 0)
			return result;
		network->subnet_count += (size_t)result;
	}
	return 0;
}

/* Finds the name that the engine's bridge driver gives the device
 * (libnetwork/drivers/bridge/bridge.go, parseNetworkOptions and getBridgeName). */
static int interface_name(json_t *options, const char *where, struct docker_network *network,
			  char reason[DOCKER_REASON_MAX])
{
	const char *name = NULL, *is_default = NULL;
	json_error_t error;
	int length;

	if (json_is_object(options) &&
	    json_unpack_ex(options, &error, 0, "{s?s, s?s}", "com.docker.network.bridge.name",
			   &name, "com.docker.network.bridge.default_bridge", &is_default) < 0)
		return docker_refuse(-EBADMSG, reason, "%s: Options: %s", where, error.text);
	if (filled(name))
		length = snprintf(network->interface, sizeof(network->interface), "%s", name);
	else if (is_default ? strcmp(is_default, "true") == 0
			    : strcmp(network->name, "bridge") == 0)
		length = snprintf(network->interface, sizeof(network->interface), "docker0");
	else
		length = snprintf(network->interface, sizeof(network->interface), "br-%.12s",
				  network->id);
	if ((size_t)length >= sizeof(network->interface))
		return docker_refuse(-EBADMSG, reason, "%s: interface name '%.64s' is too long",
				     where, name);
	return 0;
}

/* Returns 1 for a network that is kept, 0 for one of another kind, or a negative errno. */
static int parse_network(json_t *value, size_t index, struct docker_network *network,
			 char reason[DOCKER_REASON_MAX])
{
	const char *id, *name, *driver, *scope;
	json_t *options = NULL, *ipam = NULL, *configs = NULL;
	json_error_t error;
	char where[128];
	int result;

	if (json_unpack_ex(value, &error, 0, "{s:s, s:s, s:s, s:s, s?o, s?o}", "Id", &id, "Name",
			   &name, "Driver", &driver, "Scope", &scope, "Options", &options, "IPAM",
			   &ipam) < 0)
		return docker_refuse(-EBADMSG, reason, "GET /networks: network %zu: %s", index,
				     error.text);
	if (strcmp(scope, "local") != 0) {
		log_debug("docker: network %.64s is left alone: driver %.32s, scope %.32s", name,
			  driver, scope);
		return 0;
	}
	(void)snprintf(where, sizeof(where), "GET /networks: network %zu (%.64s)", index, name);
	if (!*id)
		return docker_refuse(-EBADMSG, reason, "%s: Id is empty", where);
	network->id = strdup(id);
	network->name = strdup(name);
	network->driver = strdup(driver);
	if (!network->id || !network->name || !network->driver)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	if (strcmp(driver, "bridge") != 0)
		return 1;
	if (json_is_object(ipam) &&
	    json_unpack_ex(ipam, &error, 0, "{s?o}", "Config", &configs) < 0)
		return docker_refuse(-EBADMSG, reason, "%s: IPAM: %s", where, error.text);
	result = interface_name(options, where, network, reason);
	if (result == 0)
		result = parse_subnets(configs, where, network, reason);
	return result < 0 ? result : 1;
}

static int compare_networks(const void *a, const void *b)
{
	return strcmp(((const struct docker_network *)a)->id,
		      ((const struct docker_network *)b)->id);
}

static int parse_networks(json_t *list, struct docker_network *networks, size_t *count,
			  char reason[DOCKER_REASON_MAX])
{
	size_t index;
	json_t *value;
	int result;

	json_array_foreach (list, index, value) {
		result = parse_network(value, index, &networks[*count], reason);
		/* A half filled one counts too, because the caller frees them all. */
		*count += result != 0;
		if (result < 0)
			return result;
	}
	qsort(networks, *count, sizeof(*networks), compare_networks);
	return 0;
}

static int parse_address(const char *text, const char *where, uint8_t address[16], bool *ret_given,
			 char reason[DOCKER_REASON_MAX])
{
	if (!filled(text))
		return 0;
	if (address_parse(text, address) < 0)
		return docker_refuse(-EBADMSG, reason, "%s: '%.64s' is not an address", where,
				     text);
	*ret_given = true;
	return 0;
}

/* Adds one membership of a container to its network. */
static int parse_membership(json_t *value, const char *id, const char *name, const char *where,
			    struct docker_network *networks, size_t count,
			    char reason[DOCKER_REASON_MAX])
{
	const char *network_id = NULL, *ipv4 = NULL, *ipv6 = NULL;
	struct docker_network key = {0}, *network;
	struct docker_container *container;
	json_error_t error;
	int result;

	if (json_unpack_ex(value, &error, 0, "{s?s, s?s, s?s}", "NetworkID", &network_id,
			   "IPAddress", &ipv4, "GlobalIPv6Address", &ipv6) < 0)
		return docker_refuse(-EBADMSG, reason, "%s: %s", where, error.text);
	if (!filled(network_id))
		return 0;
	key.id = (char *)network_id;
	network = bsearch(&key, networks, count, sizeof(*networks), compare_networks);
	/* The network is of another kind, or it is newer and its event is on the way. */
	if (!network)
		return 0;
	container = reallocarray(network->containers, network->container_count + 1,
				 sizeof(*container));
	if (!container)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	network->containers = container;
	container += network->container_count++;
	*container = (struct docker_container) {.id = strdup(id), .name = strdup(name)};
	if (!container->id || !container->name)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	result = parse_address(ipv4, where, container->ipv4, &container->has_ipv4, reason);
	if (result == 0)
		result = parse_address(ipv6, where, container->ipv6, &container->has_ipv6, reason);
	return result;
}

static int parse_container(json_t *value, size_t index, struct docker_network *networks,
			   size_t count, char reason[DOCKER_REASON_MAX])
{
	json_t *names = NULL, *settings = NULL, *memberships = NULL, *membership;
	const char *id, *name, *key;
	char short_id[13], where[128];
	json_error_t error;
	int result;

	if (json_unpack_ex(value, &error, 0, "{s:s, s?o, s?o}", "Id", &id, "Names", &names,
			   "NetworkSettings", &settings) < 0 ||
	    (json_is_object(settings) &&
	     json_unpack_ex(settings, &error, 0, "{s?o}", "Networks", &memberships) < 0))
		return docker_refuse(-EBADMSG, reason, "GET /containers/json: container %zu: %s",
				     index, error.text);
	/* Names is null while the engine removes a container. */
	(void)snprintf(short_id, sizeof(short_id), "%s", id);
	name = json_string_value(json_array_get(names, 0));
	name = name ? name + (*name == '/') : short_id;
	(void)snprintf(where, sizeof(where), "GET /containers/json: container %zu (%.64s)", index,
		       name);
	json_object_foreach (memberships, key, membership) {
		result = parse_membership(membership, id, name, where, networks, count, reason);
		if (result < 0)
			return result;
	}
	return 0;
}

void docker_state_free(struct docker_network *networks, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < networks[i].container_count; j++) {
			free(networks[i].containers[j].id);
			free(networks[i].containers[j].name);
		}
		free(networks[i].containers);
		free(networks[i].subnets);
		free(networks[i].driver);
		free(networks[i].name);
		free(networks[i].id);
	}
	free(networks);
}

int docker_parse_state(const char *networks_text, size_t networks_size, const char *containers_text,
		       size_t containers_size, struct docker_network **ret_networks,
		       size_t *ret_count, char reason[DOCKER_REASON_MAX])
{
	_cleanup_json_ json_t *list = docker_load("GET /networks", networks_text, networks_size,
						  reason);
	_cleanup_json_ json_t *containers = NULL;
	struct docker_network *networks;
	size_t count = 0, index;
	json_t *value;
	int result;

	if (!list)
		return -EBADMSG;
	containers = docker_load("GET /containers/json", containers_text, containers_size, reason);
	if (!containers)
		return -EBADMSG;
	if (!json_is_array(list) || !json_is_array(containers))
		return docker_refuse(-EBADMSG, reason, "GET %s: not an array",
				     json_is_array(list) ? "/containers/json" : "/networks");
	if (json_array_size(list) > DOCKER_NETWORKS_MAX)
		return docker_refuse(-E2BIG, reason, "GET /networks: %zu networks; the limit is %d",
				     json_array_size(list), DOCKER_NETWORKS_MAX);
	networks = calloc(json_array_size(list) + 1, sizeof(*networks));
	if (!networks)
		return docker_refuse(-ENOMEM, reason, "out of memory");
	result = parse_networks(list, networks, &count, reason);
	json_array_foreach (containers, index, value) {
		if (result == 0)
			result = parse_container(value, index, networks, count, reason);
	}
	if (result < 0) {
		docker_state_free(networks, count);
		return result;
	}
	*ret_networks = networks;
	*ret_count = count;
	return 0;
}

int docker_parse_event(const char *line, size_t size, enum docker_event_effect *ret_effect,
		       char reason[DOCKER_REASON_MAX])
{
	_cleanup_json_ json_t *event = docker_load("GET /events", line, size, reason);
	const char *type, *action;
	json_error_t error;
	size_t i;

	if (!event)
		return -EBADMSG;
	if (json_unpack_ex(event, &error, 0, "{s:s, s:s}", "Type", &type, "Action", &action) < 0)
		return docker_refuse(-EBADMSG, reason, "GET /events: %s", error.text);
	*ret_effect = DOCKER_EVENT_NOTHING;
	for (i = 0; i < ARRAY_SIZE(relevant_events); i++) {
		if (strcmp(type, relevant_events[i].type) == 0 &&
		    strcmp(action, relevant_events[i].action) == 0)
			*ret_effect = relevant_events[i].effect;
	}
	return 0;
}

void docker_parse_error(const char *body, size_t size, char reason[DOCKER_REASON_MAX])
{
	_cleanup_json_ json_t *value = json_loadb(body, size, 0, NULL);
	const char *message = json_string_value(json_object_get(value, "message"));

	(void)snprintf(reason, DOCKER_REASON_MAX, "%s", message ? message : "");
}
