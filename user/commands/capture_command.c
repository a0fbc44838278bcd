// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep capture`: writes the application's connections whose TLS a sidecar terminates. It reads
 * the packets of a device itself, and gets secrets and plaintext from the sidecar.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture_delay.h"
#include "capture/capture_flows.h"
#include "capture/capture_packets.h"
#include "capture/capture_wire.h"
#include "capture/har.h"
#include "capture/pcapng.h"
#include "commands.h"
#include "commands/status_read.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/options.h"
#include "lib/private_file.h"
#include "lib/process.h"
#include "lib/run_socket.h"
#include "lib/util.h"

/* So many more batches of packets are read at the end. */
#define LAST_BATCHES 1024

struct capture_options {
	const char *packets; /* file */
	const char *archive; /* file */
	const char *name;
	const char *container;
	const char *pin;
	unsigned int pid;
	const char *device;
	unsigned int seconds;
};

struct capture {
	const struct capture_options *options;
	int signal_fd, stream; /* the stream is to the sidecar */
	struct capture_packets *packets;
	struct capture_flows *flows;
	struct capture_delay delay; /* of wanted packets */
	FILE *packet_file, *archive_file;
	struct har *archive;
	uint64_t written, connections, lost; /* packets; connections; messages of the sidecar */
	bool failed;			     /* writing did */
};

static const struct option_entry entries[] = {
	{.section = "Files",
	 .name = "w",
	 .argument = "FILE",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct capture_options, packets),
	 .example = "app.pcapng",
	 .help = "Write the packets and the secrets of their TLS to this file, in the format "
		 "pcapng, which Wireshark and tshark open. With - it is standard output. It takes "
		 "CAP_NET_RAW."},
	{.name = "har",
	 .argument = "FILE",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct capture_options, archive),
	 .example = "app.har",
	 .help = "Write requests and answers of HTTP/1.1 to this file, as an HTTP archive (HAR "
		 "1.2), which browsers open. It has all header fields, passwords and cookies "
		 "included."},
	{.section = "Connections",
	 .name = "name",
	 .argument = "GLOB",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct capture_options, name),
	 .example = "*.example.com",
	 .help = "Only connections to these host names (glob(7))."},
	{.name = "seconds",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 .offset = offsetof(struct capture_options, seconds),
	 .maximum = 86400,
	 .default_text = "0",
	 .help = "End after so long. 0: at Ctrl-C or SIGTERM."},
	{.section = "Sidecar",
	 .name = "container",
	 .argument = "NAME",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct capture_options, container),
	 .example = "app-net",
	 .help = "On the host: the sidecar's container, which the host's agent serves. Without it "
		 "and without --pid the command looks for the sidecar of its own network "
		 "namespace, as in: docker exec SIDECAR sidestep capture."},
	{.name = "pin",
	 .argument = "DIR",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct capture_options, pin),
	 .example = STATUS_PIN_ROOT "/agent",
	 .default_note = "every directory below " STATUS_PIN_ROOT,
	 .help = "With --container: the --pin of the agent."},
	{.name = "pid",
	 .argument = "PID",
	 .type = OPTION_UNSIGNED,
	 .offset = offsetof(struct capture_options, pid),
	 .minimum = 0,
	 .maximum = 4194304,
	 .default_text = "0",
	 .help = "On the host: the sidecar's process, as docker inspect tells it."},
	{.name = "device",
	 .argument = "NAME",
	 .type = OPTION_STRING,
	 .offset = offsetof(struct capture_options, device),
	 .default_text = "lo",
	 .help = "The device by which the application's packets pass. Of a sidecar it is lo, in "
		 "bridge mode the bridge."},
};

static const struct option_example examples[] = {
	{"Look into a running application with tshark:",
	 "docker exec app-net sidestep capture -w - | tshark -r - -Y http"},
	{"Record a minute of requests to one host:",
	 "docker exec app-net sidestep capture --seconds 60 --name api.example.com --har /tmp/api.har"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "the files are complete"},
	{STATUS_FAILED, "they are not, or there is nothing to look into; the log has the reason"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command capture_options_command = {
	.name = "sidestep capture",
	.summary = "Captures connections whose TLS a sidecar terminates, with their plaintext.",
	.description = "Needs a sidecar with --tls-intercept, and root in that sidecar's "
		       "container. The sidecar logs that a capture runs. Only connections that "
		       "open after the start are readable.",
	.entries = entries,
	.entry_count = ARRAY_SIZE(entries),
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

/* Returns the process of the sidecar that the agent serves under this name, or 0. */
static pid_t find_container(const char *name, const char *pin)
{
	_cleanup_json_ json_t *instances = json_array();
	json_t *instance;
	size_t i;

	(void)(pin ? status_read_directory(pin, instances) : status_read_all(instances));
	json_array_foreach (instances, i, instance) {
		const char *found = json_string_value(json_object_get(instance, "name"));

		if (found && strcmp(found, name) == 0)
			return (pid_t)json_integer_value(json_object_get(instance, "pid"));
	}
	return 0;
}

/* Enters the sidecar's network namespace. */
static int enter(pid_t pid)
{
	_cleanup_close_ int fd = netns_open_of(pid);
	int error = fd < 0 ? fd : netns_enter(fd);

	return error < 0 ? log_errno(error, "cannot enter the network namespace of process %d",
				     (int)pid)
			 : 0;
}

/* The sidecar has closed the connection. */
static int explain_end(void)
{
	log_error("the sidecar has ended, or serves %d captures already", CAPTURE_READERS_MAX);
	return -EPIPE;
}

static int explain_failure(int error, const char *path)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		return log_errno(error,
				 "no sidecar here terminates TLS (%s): start one with "
				 "--tls-intercept, and run this command in its container, or with "
				 "--container or --pid",
				 path);
	if (error == -EACCES || error == -EPERM)
		return log_errno(error, "may not connect to %s: run this command as root", path);
	if (error == -EPIPE || error == -ECONNRESET)
		return explain_end();
	return log_errno(error, "cannot connect to the sidecar by %s", path);
}

/* Connects to the sidecar whose files are below /proc/PID/root, or this process's own. */
static int connect_sidecar(struct capture *capture, pid_t pid)
{
	const struct capture_request request = {.version = CAPTURE_VERSION,
						.data = capture->options->archive != NULL};
	char root[32] = "", path[RUN_SOCKET_PATH_MAX];
	int error;

	if (pid)
		(void)snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	error = run_socket_path(root, run_socket_netns(), CAPTURE_SOCKET, path);
	if (error == 0)
		error = capture->stream = run_socket_connect(path, SOCK_SEQPACKET);
	if (error >= 0 && send(capture->stream, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		error = -errno;
	if (error < 0)
		return explain_failure(error, path);
	return 0;
}

static FILE *open_file(const char *path)
{
	_cleanup_close_ int fd = -1;
	FILE *file;

	if (strcmp(path, "-") == 0) {
		if (!isatty(STDOUT_FILENO))
			return stdout;
		log_error("standard output is a terminal: name a file, or pipe into a program");
		return NULL;
	}
	/* It has secrets. */
	fd = private_file_open(path);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file) {
		log_error("cannot write %s: %s", path, strerror(fd < 0 ? -fd : errno));
		return NULL;
	}
	(void)TAKE_FD(fd);
	return file;
}

static void write_packet(void *context, const struct capture_packet *packet)
{
	struct capture *capture = context;

	capture->written++;
	capture->failed |= pcapng_packet(capture->packet_file, packet->time_ns, packet->frame,
					 packet->size, packet->length) < 0;
}

static void take_packet(void *context, const struct capture_packet *packet)
{
	struct capture *capture = context;

	capture_delay_add(&capture->delay, clock_ms(), packet);
}

static int open_packets(struct capture *capture)
{
	const char *device = capture->options->device;
	int error;

	if (!capture->options->packets)
		return 0;
	error = capture_packets_open(device, &capture->packets);
	if (error == -EPERM)
		return log_errno(error, "cannot read packets: that takes CAP_NET_RAW (docker run "
					"--cap-add NET_RAW); --har alone needs no right");
	if (error < 0)
		return log_errno(error, "cannot read the packets of the device %s", device);
	capture->packet_file = open_file(capture->options->packets);
	if (!capture->packet_file)
		return -EIO;
	return pcapng_begin(capture->packet_file, device, "sidestep " SIDESTEP_VERSION);
}

static int open_archive(struct capture *capture)
{
	if (!capture->options->archive)
		return 0;
	capture->archive_file = open_file(capture->options->archive);
	if (!capture->archive_file)
		return -EIO;
	capture->archive = har_new(capture->archive_file);
	return capture->archive ? 0 : -ENOMEM;
}

static void take_secret(struct capture *capture, char *line, size_t size)
{
	if (!capture->packet_file)
		return;
	line[size] = '\n';
	capture->failed |= pcapng_secrets(capture->packet_file, line, size + 1) < 0;
}

static void take_frame(struct capture *capture, const struct capture_frame *frame, char *payload,
		       size_t size)
{
	struct capture_open open;

	switch ((enum capture_frame_type)frame->type) {
	case CAPTURE_SECRET:
		take_secret(capture, payload, size);
		break;
	case CAPTURE_OPEN:
		memcpy(&open, payload, sizeof(open));
		if (!capture_flows_name(capture->flows, &open))
			break;
		capture->connections++;
		if (capture->archive)
			har_open(capture->archive, frame->id, open.name);
		break;
	case CAPTURE_DATA:
		if (capture->archive)
			har_data(capture->archive, frame->id, frame->direction, frame->time_us,
				 payload, size);
		break;
	case CAPTURE_CLOSE:
		if (capture->archive)
			har_close(capture->archive, frame->id, frame->time_us);
		break;
	case CAPTURE_LOST:
		capture->lost += frame->id;
		break;
	}
}

/* Takes all messages that have come. Returns 1 while the sidecar runs, 0 when it has ended. */
static int drain_stream(struct capture *capture)
{
	static char payload[CAPTURE_PAYLOAD + 1];
	struct capture_frame frame;
	struct iovec parts[] = {{&frame, sizeof(frame)}, {payload, CAPTURE_PAYLOAD}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
	ssize_t size;

	while ((size = recvmsg(capture->stream, &message, MSG_DONTWAIT)) >= (ssize_t)sizeof(frame))
		take_frame(capture, &frame, payload, (size_t)size - sizeof(frame));
	return size < 0 && errno == EAGAIN;
}

/* Takes a batch of packets. Returns false when none was there. */
static bool take_packets(struct capture *capture)
{
	const struct capture_packet *frames;
	int count = capture->packets ? capture_packets_read(capture->packets, &frames) : 0, i;

	for (i = 0; i < count; i++)
		capture_flows_packet(capture->flows, &frames[i]);
	return count > 0;
}

/* Writes what is due. Returns the limit for the next wait in ms, -1: none, or 0: the time is over.
 */
static int write_due(struct capture *capture, uint64_t end_ms)
{
	uint64_t now_ms = clock_ms();
	int limit = capture_delay_pass(&capture->delay, now_ms);

	/* For readers behind a pipe. */
	if (capture->packet_file && fflush(capture->packet_file) != 0) {
		log_error("cannot write %s: %s", capture->options->packets, strerror(errno));
		capture->failed = true;
		return 0;
	}
	if (!capture->options->seconds)
		return limit;
	if (now_ms >= end_ms)
		return 0;
	return limit < 0 || end_ms - now_ms < (uint64_t)limit ? (int)(end_ms - now_ms) : limit;
}

static int run(struct capture *capture)
{
	uint64_t end_ms = clock_ms() + capture->options->seconds * UINT64_C(1000);
	struct pollfd events[] = {
		{.fd = capture->signal_fd, .events = POLLIN},
		{.fd = capture->stream, .events = POLLIN},
		{.fd = capture->packets ? capture_packets_fd(capture->packets) : -1,
		 .events = POLLIN},
	};
	int limit, i;

	log_info("the capture runs%s", capture->options->seconds ? "" : "; Ctrl-C ends it");
	while ((limit = write_due(capture, end_ms)) != 0 && !capture->failed) {
		if (poll(events, ARRAY_SIZE(events), limit) < 0)
			continue;
		(void)take_packets(capture);
		if (!drain_stream(capture))
			return explain_end();
		if (events[0].revents)
			break;
	}
	/* Those that have come until now. */
	for (i = 0; i < LAST_BATCHES && take_packets(capture); i++)
		;
	(void)drain_stream(capture);
	return capture->failed ? -EIO : 0;
}

/* Completes and closes a file. Returns 0 or -EIO, logged. */
static int close_file(FILE *file, const char *path)
{
	if (!file)
		return 0;
	if (fflush(file) == 0 && !ferror(file) && (file == stdout || fclose(file) == 0))
		return 0;
	log_error("cannot write %s: %s", path, strerror(errno));
	return -EIO;
}

static int finish(struct capture *capture)
{
	uint64_t lost = capture->lost;
	int error = har_free(capture->archive);

	(void)capture_delay_pass(&capture->delay, UINT64_MAX);
	if (capture->packets)
		lost += capture_packets_lost(capture->packets);
	if (close_file(capture->packet_file, capture->options->packets) < 0 ||
	    close_file(capture->archive_file, capture->options->archive) < 0)
		error = -EIO;
	log_info("captured %llu packets; %llu connections whose TLS was opened",
		 (unsigned long long)capture->written, (unsigned long long)capture->connections);
	if (lost > 0)
		log_warning("%llu packets or messages were lost, because the files were written "
			    "too slowly: choose connections by --name",
			    (unsigned long long)lost);
	capture_flows_free(capture->flows);
	capture_packets_close(capture->packets);
	(void)safe_close(capture->stream);
	(void)safe_close(capture->signal_fd);
	return error;
}

static int start(struct capture *capture)
{
	const struct capture_options *options = capture->options;
	pid_t pid = (pid_t)options->pid;
	int error = 0;

	if (options->container) {
		pid = find_container(options->container, options->pin);
		if (pid == 0) {
			log_error("no agent on this host serves a sidecar named %s: see sidestep "
				  "status, or use --pid",
				  options->container);
			return -ENOENT;
		}
	}
	if (pid)
		error = enter(pid);
	if (error == 0)
		error = connect_sidecar(capture, pid);
	if (error == 0)
		error = open_packets(capture);
	if (error == 0)
		error = open_archive(capture);
	if (error < 0)
		return error;
	capture->flows = capture_flows_new(options->name, take_packet, capture);
	capture->signal_fd = process_open_signals(NULL);
	return capture->flows && capture->signal_fd >= 0 ? 0 : -ENOMEM;
}

int command_capture(int argc, char **argv)
{
	struct capture_options options = {0};
	struct capture capture = {.options = &options, .signal_fd = -1, .stream = -1};
	int first, error;

	error = options_parse(&capture_options_command, argc, argv, &options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	if (options.packets && options.archive && strcmp(options.packets, options.archive) == 0) {
		log_error("-w and --har name one file: give two");
		return STATUS_USAGE;
	}
	if (!options.packets && !options.archive) {
		log_error("nothing to write: give -w FILE, --har FILE, or both");
		return STATUS_USAGE;
	}
	capture_delay_init(&capture.delay, write_packet, &capture);
	error = start(&capture);
	if (error == 0)
		error = run(&capture);
	if (finish(&capture) < 0)
		error = -EIO;
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
