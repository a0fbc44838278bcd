// SPDX-License-Identifier: Apache-2.0
#include "names/name_lookup.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "lib/await.h"
#include "lib/clock.h"
#include "lib/hosts_file.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "proto/dns_message.h"
#include "proto/dns_wire.h"
#include "proto/hostname.h"

#define DNS_PORT 53
/* How long one resolver has, and for its second answer once the first has addresses, ms. */
#define SERVER_MS 1000
#define SECOND_MS 200
/* Characters of the longest name (RFC 1035 section 2.3.4), without a dot at the end. */
#define NAME_MAX_LENGTH 253
#define ANSWER_MAX	4096

static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};

/* The two queries that one resolver gets for a name. */
struct inquiry {
	struct dns_question questions[ARRAY_SIZE(types)];
	bool answered[ARRAY_SIZE(types)];
	bool failed; /* an answer tells nothing about the name */
	uint8_t found[ARRAY_SIZE(types)][NAME_LOOKUP_MAX][16];
	size_t counts[ARRAY_SIZE(types)];
};

bool name_lookup_valid(const char *name)
{
	size_t length = hostname_length(name), label = 0, i;

	if (length == 0 || length > NAME_MAX_LENGTH || !hostname_valid(name, strlen(name)))
		return false;
	for (i = 0; i < length; i++) {
		label = name[i] == '.' ? 0 : label + 1;
		if (label > DNS_LABEL_MAX || (name[i] == '.' && (i == 0 || name[i - 1] == '.')))
			return false;
	}
	return true;
}

/* Returns a socket that is connected to the resolver, or negative errno. */
static int server_socket(const struct name_lookup *lookup, const uint8_t server[16])
{
	struct socket_address address;
	const struct sockaddr *to = (const struct sockaddr *)&address.address;
	_cleanup_close_ int fd = -1;
	int error;

	socket_address_inet(server, htons(DNS_PORT), &address);
	fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = dial_announce(&lookup->announcer, fd, to);
	if (error < 0)
		return error;
	return connect(fd, to, address.size) < 0 ? -errno : TAKE_FD(fd);
}

static int send_queries(struct inquiry *inquiry, int fd, const char *name)
{
	uint8_t query[DNS_HEADER_SIZE + DNS_QUESTION_MAX];
	uint16_t id;
	size_t i;

	/* The IDs differ, so an answer belongs to one question. */
	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -EIO;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		size_t size = dns_query_write((uint16_t)(id + i), name, types[i], query);

		(void)dns_query_parse(query, size, &inquiry->questions[i]);
		if (send(fd, query, size, MSG_NOSIGNAL) < 0)
			return -errno;
	}
	return 0;
}

static int read_answer(struct inquiry *inquiry, int fd)
{
	uint8_t message[ANSWER_MAX];
	ssize_t size = recv(fd, message, sizeof(message), 0);
	size_t i;

	if (size < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		const struct dns_question *question = &inquiry->questions[i];
		enum dns_rcode rcode;

		if (inquiry->answered[i] || !dns_answers(message, (size_t)size, question) ||
		    dns_id(message) != question->id)
			continue;
		rcode = dns_rcode(message);
		inquiry->answered[i] = true;
		inquiry->failed |= rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN;
		inquiry->counts[i] = dns_addresses(message, (size_t)size, question,
						   inquiry->found[i], NAME_LOOKUP_MAX);
	}
	return 0;
}

static int take_found(const struct inquiry *inquiry, uint8_t ret_addresses[NAME_LOOKUP_MAX][16])
{
	size_t count = 0, i, j;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		for (j = 0; j < inquiry->counts[i] && count < NAME_LOOKUP_MAX; j++)
			memcpy(ret_addresses[count++], inquiry->found[i][j], 16);
	return (int)count;
}

/* Asks one resolver. Returns as name_lookup(). */
static int ask_server(const struct name_lookup *lookup, const uint8_t server[16], const char *name,
		      uint64_t deadline, uint8_t ret_addresses[NAME_LOOKUP_MAX][16])
{
	_cleanup_close_ int fd = server_socket(lookup, server);
	struct inquiry inquiry = {.failed = false};
	int error = fd < 0 ? fd : send_queries(&inquiry, fd, name), count;

	if (deadline > clock_ms() + SERVER_MS)
		deadline = clock_ms() + SERVER_MS;
	while (error == 0 && !(inquiry.answered[0] && inquiry.answered[1])) {
		error = await(fd, POLLIN, lookup->stop_fd, deadline);
		if (error == 0)
			error = read_answer(&inquiry, fd);
		if (inquiry.counts[0] + inquiry.counts[1] > 0 && deadline > clock_ms() + SECOND_MS)
			deadline = clock_ms() + SECOND_MS;
	}
	count = take_found(&inquiry, ret_addresses);
	if (count > 0 || error == -ECANCELED)
		return count > 0 ? count : error;
	return error < 0 || inquiry.failed ? -ETIMEDOUT : -ENOENT;
}

static int ask(const struct name_lookup *lookup, const char *name, uint64_t deadline,
	       uint8_t ret_addresses[NAME_LOOKUP_MAX][16])
{
	int result = -ETIMEDOUT;
	size_t i;

	for (i = 0; i < lookup->conf.server_count && result == -ETIMEDOUT; i++)
		result = ask_server(lookup, lookup->conf.servers[i], name, deadline, ret_addresses);
	return result;
}

static bool is_left_to_search(const struct name_lookup *lookup, const char *name)
{
	unsigned int dots = 0;

	for (; *name; name++)
		dots += *name == '.';
	return dots < lookup->conf.ndots;
}

int name_lookup(struct name_lookup *lookup, const char *name,
		uint8_t ret_addresses[NAME_LOOKUP_MAX][16])
{
	const struct search_list *search = &lookup->conf.search;
	const uint64_t deadline = clock_ms() + NAME_LOOKUP_LIMIT_MS;
	size_t count = hosts_file_find(HOSTS_FILE_PATH, name, ret_addresses, NAME_LOOKUP_MAX), i;
	bool searched_first, absolute = hostname_length(name) < strlen(name);
	int result = -ENOENT;

	if (count > 0)
		return (int)count;
	/* Where it cannot be read any more, the resolvers are those that it named before. */
	(void)resolv_conf_read(RESOLV_CONF_PATH, &lookup->conf);
	searched_first = !absolute && is_left_to_search(lookup, name);
	if (!searched_first)
		result = ask(lookup, name, deadline, ret_addresses);
	for (i = 0; i < search->count && !absolute && result == -ENOENT; i++) {
		char full[2 * HOSTNAME_MAX + 2];

		(void)snprintf(full, sizeof(full), "%s.%s", name, search->domains[i]);
		if (name_lookup_valid(full))
			result = ask(lookup, full, deadline, ret_addresses);
	}
	if (searched_first && result == -ENOENT)
		result = ask(lookup, name, deadline, ret_addresses);
	return result;
}

void name_lookup_clear(struct name_lookup *lookup)
{
	resolv_conf_clear(&lookup->conf);
}
