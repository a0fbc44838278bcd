// SPDX-License-Identifier: Apache-2.0
/* A minimal DNS client (RFC 1035): the static binary has no resolver of the C library. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "peer.h"

#define MESSAGE_MAX 4096

struct answer {
	uint16_t flags;
	unsigned int rcode;
	unsigned int count;
	char text[1024]; /* the records of the asked type, comma separated; also CNAMEs as name */
	struct sockaddr_storage first; /* of the first address record; ss_family 0: none */
	struct sockaddr_storage from;
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Writes a query for name. Returns its size, or -EINVAL. */
static int query_build(uint8_t *message, uint16_t id, const char *name, uint16_t type)
{
	uint8_t *next = message + 12;

	memset(message, 0, 12);
	message[0] = (uint8_t)(id >> 8);
	message[1] = (uint8_t)id;
	message[2] = 1; /* recursion desired */
	message[5] = 1; /* one question */
	while (*name && strcmp(name, ".") != 0) {
		size_t size = strcspn(name, ".");

		if (size == 0 || size > 63 || next - message + size > 255)
			return -EINVAL;
		*next++ = (uint8_t)size;
		memcpy(next, name, size);
		next += size;
		name += size + (name[size] == '.');
	}
	*next++ = 0;
	*next++ = (uint8_t)(type >> 8);
	*next++ = (uint8_t)type;
	*next++ = 0;
	*next++ = 1; /* IN */
	return (int)(next - message);
}

/* Returns the offset behind the name at `at`, or 0 when it does not fit. */
static size_t name_skip(const uint8_t *message, size_t size, size_t at)
{
	while (at < size) {
		if (message[at] == 0)
			return at + 1;
		if ((message[at] & 0xc0) == 0xc0)
			return at + 2 <= size ? at + 2 : 0;
		at += message[at] + 1u;
	}
	return 0;
}

/* Writes the keys of an HTTPS record's parameters, as "https:1/4/5". */
static void https_format(const uint8_t *data, size_t length, char *text, size_t room)
{
	size_t at = name_skip(data, length, 2), used = (size_t)snprintf(text, room, "https:");

	while (at && at + 4 <= length && used < room) {
		used += (size_t)snprintf(text + used, room - used, "%s%u",
					 text[used - 1] == ':' ? "" : "/", get16(data + at));
		at += 4u + get16(data + at + 2);
	}
}

static void answer_add(struct answer *answer, uint16_t type, const uint8_t *data, uint16_t length)
{
	char text[256] = "";
	size_t used = strlen(answer->text);

	if (type == DNS_A && length == 4)
		inet_ntop(AF_INET, data, text, sizeof(text));
	else if (type == DNS_AAAA && length == 16)
		inet_ntop(AF_INET6, data, text, sizeof(text));
	else if (type == DNS_HTTPS)
		https_format(data, length, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "type%u/%u", type, length);
	snprintf(answer->text + used, sizeof(answer->text) - used, "%s%s", used ? "," : "", text);
	if (!answer->first.ss_family)
		(void)literal_parse(text, 0, &answer->first);
	if (type != DNS_A && type != DNS_AAAA)
		answer->first.ss_family = 0;
}

static int answer_parse(const uint8_t *message, size_t size, struct answer *answer)
{
	size_t at = 12;

	answer->flags = get16(message + 2);
	answer->rcode = answer->flags & 15;
	answer->count = get16(message + 6);
	for (unsigned int i = 0; i < get16(message + 4); i++) {
		at = name_skip(message, size, at);
		if (!at || at + 4 > size)
			return -EBADMSG;
		at += 4;
	}
	for (unsigned int i = 0; i < answer->count; i++) {
		uint16_t length;

		at = name_skip(message, size, at);
		if (!at || at + 10 > size)
			return -EBADMSG;
		length = get16(message + at + 8);
		if (at + 10 + length > size)
			return -EBADMSG;
		answer_add(answer, get16(message + at), message + at + 10, length);
		at += 10u + length;
	}
	return 0;
}

/* Asks over TCP, where each message has its size in front. Returns the answer's size or -errno. */
static int stream_ask(const struct options *options, const struct sockaddr_storage *server,
		      uint8_t *message, int size, int64_t deadline_us)
{
	uint8_t framed[2 + MESSAGE_MAX] = {(uint8_t)(size >> 8), (uint8_t)size};
	size_t have = 0, wanted = 2;
	int fd = connect_start(options, server), error;

	if (fd < 0)
		return fd;
	memcpy(framed + 2, message, (size_t)size);
	error = connect_wait(fd, deadline_us);
	if (!error)
		error = send_all(fd, framed, (size_t)size + 2, deadline_us);
	while (!error && have < wanted) {
		ssize_t got;

		error = wait_fd(fd, POLLIN, deadline_us);
		if (error)
			break;
		got = recv(fd, framed + have, wanted - have, 0);
		if (got < 0 && errno != EAGAIN)
			error = -errno;
		else if (got == 0)
			error = -EPIPE;
		have += got > 0 ? (size_t)got : 0;
		if (have == 2)
			wanted = 2u + get16(framed);
		if (wanted > sizeof(framed))
			error = -EMSGSIZE;
	}
	close(fd);
	if (error)
		return error;
	memcpy(message, framed + 2, wanted - 2);
	return (int)wanted - 2;
}

static int query_run(const struct options *options, const struct sockaddr_storage *server,
		     const char *name, uint16_t type, int64_t deadline_us, struct answer *answer)
{
	uint8_t message[MESSAGE_MAX];
	uint16_t id = 0;
	int size, error = 0;
	int fd = options->tcp ? -1 : socket_for(options, server->ss_family, SOCK_DGRAM);

	if (fd < 0 && !options->tcp)
		return fd;
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = (uint16_t)now_us();
	size = query_build(message, id, name, type);
	message[2] = (uint8_t)(message[2] | options->opcode << 3);
	if (size > 0 && options->tcp) {
		size = stream_ask(options, server, message, size, deadline_us);
		answer->from = *server;
		return size < 12 ? (size < 0 ? size : -EBADMSG)
				 : answer_parse(message, (size_t)size, answer);
	}
	/* Not connected: the answer's source address is part of what is checked. */
	if (size < 0)
		error = size;
	else if (sendto(fd, message, (size_t)size, 0, (const void *)server, address_size(server)) <
		 0)
		error = -errno;
	while (!error) {
		socklen_t from_size = sizeof(answer->from);
		ssize_t got;

		error = wait_fd(fd, POLLIN, deadline_us);
		if (error)
			break;
		got = recvfrom(fd, message, sizeof(message), 0, (void *)&answer->from, &from_size);
		if (got < 0 && errno != EAGAIN)
			error = -errno;
		if (got >= 12 && get16(message) == id && message[2] & 0x80) {
			error = answer_parse(message, (size_t)got, answer);
			break;
		}
	}
	close(fd);
	return error;
}

static const char *rcode_word(unsigned int rcode)
{
	static const char *const words[] = {"noerror",	"formerr", "servfail",
					    "nxdomain", "notimp",  "refused"};

	return rcode < sizeof(words) / sizeof(words[0]) ? words[rcode] : "other";
}

/* Parses "@1.2.3.4", "1.2.3.4:53", "[::1]:53" or a bare v6 address. */
static bool server_parse(const char *text, struct sockaddr_storage *server)
{
	char host[64];
	uint16_t port = 53;
	const char *colon;

	text += *text == '@';
	if (literal_parse(text, 53, server))
		return true;
	colon = strrchr(text, ':');
	if (!colon || !port_parse(colon + 1, &port))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (host[0] == '[' && colon[-1] == ']') {
		host[strlen(host) - 1] = '\0';
		memmove(host, host + 1, strlen(host));
	}
	return literal_parse(host, port, server);
}

static bool hosts_lookup(const char *name, bool ipv6, struct sockaddr_storage *address)
{
	FILE *file = fopen("/etc/hosts", "re");
	char line[1024];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *rest = NULL;
		char *host = strtok_r(line, " \t\n", &rest);

		if (!host || host[0] == '#' || !literal_parse(host, 0, address) ||
		    (address->ss_family == AF_INET6) != ipv6)
			continue;
		for (char *word; !found && (word = strtok_r(NULL, " \t\n", &rest)) && *word != '#';)
			found = strcasecmp(word, name) == 0;
	}
	if (file)
		fclose(file);
	return found;
}

static bool resolver_of_system(struct sockaddr_storage *server)
{
	FILE *file = fopen("/etc/resolv.conf", "re");
	char line[256], word[64];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, " nameserver %63s", word) == 1 &&
			literal_parse(word, 53, server);
	if (file)
		fclose(file);
	return found;
}

static void port_set(struct sockaddr_storage *address, uint16_t port)
{
	/* sin_port and sin6_port share their place. */
	((struct sockaddr_in *)address)->sin_port = htons(port);
}

int resolve(const struct options *options, const char *host, uint16_t port, int64_t deadline_us,
	    struct sockaddr_storage *address, const char **why)
{
	struct options plain = {0};
	struct sockaddr_storage server;
	struct answer answer = {0};
	int error;

	*why = NULL;
	if (literal_parse(host, port, address))
		return 0;
	if (!options->resolver && hosts_lookup(host, options->ipv6, address)) {
		port_set(address, port);
		return 0;
	}
	if (options->resolver ? !server_parse(options->resolver, &server)
			      : !resolver_of_system(&server))
		return -EDESTADDRREQ;
	error = query_run(&plain, &server, host, options->ipv6 ? DNS_AAAA : DNS_A, deadline_us,
			  &answer);
	if (error)
		return error;
	if (answer.rcode || !answer.first.ss_family) {
		*why = answer.rcode ? rcode_word(answer.rcode) : "nodata";
		return -ENOENT;
	}
	*address = answer.first;
	port_set(address, port);
	return 0;
}

static bool type_parse(const char *text, uint16_t *type)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = {{"A", DNS_A},	   {"AAAA", DNS_AAAA}, {"ANY", 255}, {"TXT", 16},
		     {"MX", 15},	   {"NS", 2},	       {"SOA", 6},   {"CNAME", 5},
		     {"HTTPS", DNS_HTTPS}, {"SRV", 33},	       {"PTR", 12}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(types[i].name, text) == 0) {
			*type = types[i].type;
			return true;
		}
	return port_parse(text, type); /* a bare number */
}

/* result=ok rcode=noerror aa=0 ra=1 answers=1 data=11.0.0.1 from=1.1.1.1:53 us=... */
int command_dns(const struct options *options)
{
	struct sockaddr_storage server;
	struct answer answer = {0};
	char from[ADDRESS_TEXT];
	uint16_t type;
	int64_t start = now_us();
	int error;

	if (options->arg_count != 3 || !type_parse(options->args[1], &type) ||
	    !server_parse(options->args[2], &server))
		return 2;
	error = query_run(options, &server, options->args[0], type, deadline_from(options, 10),
			  &answer);
	printf("result=%s rcode=%s aa=%d tc=%d ra=%d answers=%u data=%s from=%s us=%lld\n",
	       error_word(error), error ? "-" : rcode_word(answer.rcode), answer.flags >> 10 & 1,
	       answer.flags >> 9 & 1, answer.flags >> 7 & 1, answer.count,
	       answer.text[0] ? answer.text : "-", address_text(&answer.from, from),
	       (long long)(now_us() - start));
	return error != 0;
}
