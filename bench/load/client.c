// SPDX-License-Identifier: Apache-2.0
/*
 * The load generator: one thread, one kind of load for some time, one JSON object on stdout.
 * `client` without arguments lists the loads.
 */
#include "client.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

static const struct {
	const char *name;
	int (*run)(const struct client_options *options);
	int port;
	const char *what;
} loads[] = {
	{"connect", client_connect, LOAD_CLOSE, "connect, wait for the server's close, close"},
	{"http", client_http, LOAD_HTTP, "one HTTP request for each connection"},
	{"keepalive", client_keepalive, LOAD_HTTP,
	 "HTTP requests, one at a time on each connection"},
	{"pingpong", client_pingpong, LOAD_ECHO, "a message there and back, one connection"},
	{"upload", client_upload, LOAD_DISCARD, "one stream to the server, counted there"},
	{"download", client_download, LOAD_SOURCE, "one stream from the server"},
	{"dns", client_dns, 53, "queries over UDP"},
	{"handshake", client_handshake, LOAD_ECHO, "TLS handshakes"},
	{"tls-download", client_tls_download, LOAD_SOURCE, "one stream through TLS"},
	{"start", client_start, LOAD_HTTP, "runs a program; how soon is it there?"},
};

#define LOADS (sizeof(loads) / sizeof(loads[0]))

struct sockaddr_in client_address(const struct client_options *options, uint64_t number)
{
	return (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)options->port),
		.sin_addr.s_addr = htonl(ntohl(options->target.s_addr) +
					 (uint32_t)(number % options->addresses)),
	};
}

int client_open(const struct client_options *options, uint64_t number)
{
	struct sockaddr_in address = client_address(options, number);
	const struct timeval limit = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("cannot connect to %s:%d", inet_ntoa(address.sin_addr), options->port);
	return fd;
}

unsigned int client_mss(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	return getsockopt(fd, SOL_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_snd_mss : 0;
}

double client_cpu(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int client_print(const struct client_result *result)
{
	double seconds = result->seconds > 0 ? result->seconds : 1;
	uint64_t total = result->bytes + result->warm_up_bytes;

	(void)printf("{\"count\": %llu, \"errors\": %llu, \"seconds\": %.6f",
		     (unsigned long long)result->count, (unsigned long long)result->errors,
		     seconds);
	if (!result->bytes)
		(void)printf(", \"rate\": %.2f", (double)result->count / seconds);
	if (result->latency)
		(void)printf(", \"p50_us\": %.2f, \"p99_us\": %.2f",
			     histogram_us(result->latency, 0.50),
			     histogram_us(result->latency, 0.99));
	if (result->bytes)
		(void)printf(", \"bytes\": %llu, \"total_bytes\": %llu, \"gbit_s\": %.4f",
			     (unsigned long long)result->bytes, (unsigned long long)total,
			     (double)result->bytes * 8 / seconds / 1e9);
	if (result->setup_seconds > 0)
		(void)printf(", \"setup_seconds\": %.4f", result->setup_seconds);
	if (result->mss)
		(void)printf(", \"mss\": %u", result->mss);
	(void)printf(", \"client_cpu_s\": %.4f}\n", client_cpu());
	return 0;
}

static void usage(void)
{
	size_t i;

	(void)fprintf(
		stderr,
		"usage: client LOAD [--target IP] [--addresses N] [--port P] "
		"[--clients N] [--seconds S] [--size BYTES] [--server NAME] [--hold] [--window N] "
		"[--no-copy]\n"
		"       client start --until LINE [...] -- COMMAND...\n\n");
	for (i = 0; i < LOADS; i++)
		(void)fprintf(stderr, "  %-13s %s\n", loads[i].name, loads[i].what);
	exit(2);
}

static void parse(int argc, char **argv, struct client_options *options)
{
	static const struct option table[] = {
		{"target", required_argument, NULL, 't'},
		{"addresses", required_argument, NULL, 'a'},
		{"port", required_argument, NULL, 'p'},
		{"clients", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"size", required_argument, NULL, 'b'},
		{"server", required_argument, NULL, 'n'},
		{"hold", no_argument, NULL, 'h'},
		{"no-copy", no_argument, NULL, 'z'},
		{"until", required_argument, NULL, 'u'},
		{"window", required_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		switch (option) {
		case 't':
			if (inet_pton(AF_INET, optarg, &options->target) != 1)
				usage();
			break;
		case 'a':
			options->addresses = (unsigned int)atoi(optarg);
			break;
		case 'p':
			options->port = atoi(optarg);
			break;
		case 'c':
			options->clients = (unsigned int)atoi(optarg);
			break;
		case 's':
			options->seconds = atof(optarg);
			break;
		case 'b':
			options->size = (unsigned int)atoi(optarg);
			break;
		case 'n':
			options->server = optarg;
			break;
		case 'h':
			options->hold = true;
			break;
		case 'z':
			options->no_copy = true;
			break;
		case 'w':
			options->window = (unsigned int)atoi(optarg);
			break;
		case 'u':
			options->until = optarg;
			break;
		default:
			usage();
		}
	}
	if (options->addresses == 0 || options->clients == 0 || options->clients > 50000 ||
	    options->size == 0 || options->size > LOAD_BUFFER || options->seconds > 600)
		usage();
	options->command = argv + optind;
}

int main(int argc, char **argv)
{
	struct client_options options = {
		.addresses = 1,
		.clients = 1,
		.seconds = 1,
		.size = 64,
		.server = "bench.example",
	};
	size_t i;

	(void)signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	for (i = 0; i < LOADS; i++) {
		if (argc < 2 || strcmp(argv[1], loads[i].name) != 0)
			continue;
		(void)inet_pton(AF_INET, "127.0.0.1", &options.target);
		options.port = loads[i].port;
		parse(argc - 1, argv + 1, &options);
		return loads[i].run(&options);
	}
	usage();
}
