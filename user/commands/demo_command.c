// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep demo`: the main job in two private network namespaces, without Docker. The "container"
 * has the sidecar in it. The "host" has the bridge's address, a neighbour's service and the
 * reference gateway. Nothing is visible outside, and everything ends with the processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/rtnetlink.h>

#include "commands.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/options.h"
#include "lib/util.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"

#define HOST4	     "172.30.0.1"
#define HOST6	     "fd30::1"
#define CONTAINER4   "172.30.0.2"
#define CONTAINER6   "fd30::2"
#define GATEWAY_PORT "8080"
#define SERVICE_PORT 7000
#define MTU	     1500
/* Each step's limit, ms. */
#define STEP_MS 5000

static const struct option_status statuses[] = {
	{STATUS_OK, "every row is as expected"},
	{STATUS_FAILED, "a row is not, or the namespaces could not be made"},
	{STATUS_USAGE, "wrong command line"},
};

const struct options_command demo_options_command = {
	.name = "sidestep demo",
	.summary = "Shows the main job in private network namespaces, without Docker.",
	.description =
		"Makes a container's network with the sidecar and the reference gateway, opens "
		"connections, and prints where each one arrived. Needs root. Leaves nothing "
		"behind.",
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

/* The rows: a connection's target, and the expected answer. */
static const struct demo_case {
	const char *what;
	const char *target; /* as endpoint_parse() takes it */
	const char *answer; /* part of the expected reply */
	const char *verdict;
} cases[] = {
	{"an address that does not exist", "192.0.2.77:80", "destination 192.0.2.77:80",
	 "intercepted"},
	{"another port", "192.0.2.77:6667", "destination 192.0.2.77:6667", "intercepted"},
	{"IPv6", "[2001:db8::77]:443", "destination [2001:db8::77]:443", "intercepted"},
	{"the bridge's own address", HOST4 ":7000", "direct from " CONTAINER4, "passed by"},
	{"the same, IPv6", "[" HOST6 "]:7000", "direct from " CONTAINER6, "passed by"},
};

struct demo {
	int host_netns, container_netns;
	pid_t gateway, service, sidecar;
};

/* Sets a link up with an address of each family. With @vias it also gets default routes. */
static int configure(const char *name, const char *const addresses[2], const char *const vias[2])
{
	static const int lengths[] = {24, 64};
	_cleanup_netlink_ struct netlink *netlink = NULL;
	uint32_t ifindex = if_nametoindex(name);
	int i, error;

	error = netlink_open(&netlink);
	if (error == 0)
		error = netlink_link_up(netlink, if_nametoindex("lo"), false);
	if (error == 0)
		error = netlink_link_up(netlink, ifindex, false);
	for (i = 0; i < 2 && error == 0; i++) {
		struct netlink_route route = {
			.table = RT_TABLE_MAIN,
			.ifindex = ifindex,
			.has_gateway = true,
			.type = RTN_UNICAST,
			.protocol = RTPROT_BOOT,
		};
		uint8_t address[16];

		(void)address_parse(addresses[i], address);
		error = netlink_address_add(netlink, ifindex, address, (uint8_t)lengths[i]);
		if (error < 0 || !vias)
			continue;
		(void)address_parse(vias[i], route.gateway);
		(void)prefix_parse(i == 0 ? "0.0.0.0/0" : "::/0", &route.destination);
		error = netlink_route_replace(netlink, &route);
	}
	return error;
}

static int make_networks(struct demo *demo)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	int error;

	demo->container_netns = netns_new();
	demo->host_netns = demo->container_netns < 0 ? demo->container_netns : netns_new();
	if (demo->host_netns < 0)
		return demo->host_netns;
	error = netlink_open(&netlink);
	if (error == 0)
		error = netlink_veth_create(netlink, "br0", "eth0", demo->container_netns, MTU);
	if (error == 0)
		error = configure("br0", (const char *const[]) {HOST4, HOST6}, NULL);
	if (error == 0)
		error = netns_enter(demo->container_netns);
	if (error == 0)
		error = configure("eth0", (const char *const[]) {CONTAINER4, CONTAINER6},
				  (const char *const[]) {HOST4, HOST6});
	return error;
}

/* Forks a child into the namespace, which ends with its parent. Returns 0 in the child. */
static pid_t fork_into(int netns)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (netns_enter(netns) < 0)
		_exit(STATUS_FAILED);
	return 0;
}

/* Runs the neighbour's service, which tells each client the client's address. */
static void serve(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(SERVICE_PORT)};
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const int zero;

	if (listener < 0 ||
	    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 8) < 0)
		_exit(STATUS_FAILED);
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t size = sizeof(peer);
		_cleanup_close_ int fd = accept(listener, (struct sockaddr *)&peer, &size);
		char text[ADDRESS_TEXT_MAX], answer[ADDRESS_TEXT_MAX + 32];
		uint8_t bytes[16];

		if (fd < 0)
			continue;
		address_from_sockaddr((struct sockaddr *)&peer, bytes);
		(void)snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n\r\ndirect from %s\n",
			       address_format(bytes, text));
		(void)!write(fd, answer, strlen(answer));
		(void)shutdown(fd, SHUT_WR);
		while (read(fd, text, sizeof(text)) > 0)
			;
	}
}

/* Runs a subcommand in a child. Its messages go to @log_fd. */
static pid_t start(int netns, int (*run)(int, char **), const char *const *arguments, int log_fd)
{
	pid_t pid = fork_into(netns);
	int count = 0;

	if (pid != 0)
		return pid;
	(void)dup2(log_fd, STDERR_FILENO);
	while (arguments[count])
		count++;
	/* main()'s arguments are not const, but no command writes to them. */
	_exit(run(count, (char **)arguments));
}

/* Connects to @target and reads its reply. Returns 0 or negative errno. */
static int ask_once(const struct endpoint *target, char *answer, size_t size)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n";
	struct timeval limit = {.tv_sec = STEP_MS / 1000};
	_cleanup_close_ int fd = -1;
	size_t used = 0;
	ssize_t got = 1;

	fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)&target->address, endpoint_size(target)) < 0 ||
	    write(fd, request, sizeof(request) - 1) < 0)
		return -errno;
	while (used < size - 1 && (got = read(fd, answer + used, size - 1 - used)) > 0)
		used += (size_t)got;
	answer[used] = '\0';
	return got < 0 ? -errno : 0;
}

/* Asks until gateway and service, which may still be starting, no longer refuse. */
static int ask(const char *text, char *answer, size_t size)
{
	struct endpoint target;
	int i, error;

	if (endpoint_parse(text, &target) < 0)
		return -EINVAL;
	for (i = 0; i < STEP_MS / 20; i++) {
		error = ask_once(&target, answer, size);
		if (error != -ECONNREFUSED && error != -ECONNRESET)
			return error;
		(void)nanosleep(&(struct timespec) {.tv_nsec = 20000000}, NULL);
	}
	return error;
}

static bool run_case(const struct demo_case *row)
{
	char answer[4096] = "";
	int error = ask(row->target, answer, sizeof(answer));
	bool expected = error == 0 && strstr(answer, row->answer);

	(void)printf("%-32s %-22s %-12s %-34s %s\n", row->what, row->target, row->verdict,
		     error < 0	? strerror(-error)
		     : expected ? row->answer
				: "something else",
		     expected ? "ok" : "FAILED");
	return expected;
}

/* Waits for the sidecar's message that it is live. */
static bool wait_live(int log_fd)
{
	struct pollfd event = {.fd = log_fd, .events = POLLIN};
	char text[8192];
	size_t used = 0;

	while (used < sizeof(text) - 1 && poll(&event, 1, STEP_MS) > 0) {
		ssize_t got = read(log_fd, text + used, sizeof(text) - 1 - used);

		if (got <= 0)
			break;
		used += (size_t)got;
		text[used] = '\0';
		if (strstr(text, "interception is live"))
			return true;
	}
	text[used] = '\0';
	log_error("the sidecar did not start; it said:\n%s", text);
	return false;
}

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
}

static int show(struct demo *demo)
{
	static const char *const gateway[] = {"gateway",  "--server",
					      "--listen", HOST4 ":" GATEWAY_PORT,
					      "--listen", "[" HOST6 "]:" GATEWAY_PORT,
					      NULL};
	static const char *const sidecar[] = {"sidecar", "--gateway", HOST4 ":" GATEWAY_PORT, NULL};
	size_t i, expected = 0;
	int log[2];

	if (pipe2(log, O_CLOEXEC) < 0)
		return log_errno(-errno, "cannot make a pipe");
	demo->service = fork_into(demo->host_netns);
	if (demo->service == 0)
		serve();
	demo->gateway = start(demo->host_netns, command_gateway, gateway, STDERR_FILENO);
	demo->sidecar = start(demo->container_netns, command_sidecar, sidecar, log[1]);
	(void)close(log[1]);
	if (demo->service < 0 || demo->gateway < 0 || demo->sidecar < 0 || !wait_live(log[0])) {
		(void)close(log[0]);
		return -EIO;
	}
	(void)printf("The container %s, %s connects to:\n\n%-32s %-22s %-12s %s\n", CONTAINER4,
		     CONTAINER6, "what", "target", "verdict", "who answered");
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		expected += run_case(&cases[i]);
	(void)printf("\n%zu of %zu rows as expected.\n", expected, ARRAY_SIZE(cases));
	(void)close(log[0]);
	return expected == ARRAY_SIZE(cases) ? 0 : -EIO;
}

int command_demo(int argc, char **argv)
{
	struct demo demo = {.host_netns = -1, .container_netns = -1};
	int first, error, unused;

	error = options_parse(&demo_options_command, argc, argv, &unused, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	/* Warnings of the gateway belong to the demo, and its address does not. */
	log_set_level(LOG_WARNING);
	/* Writing to a child that has ended must be an error, not a signal. */
	(void)signal(SIGPIPE, SIG_IGN);
	error = make_networks(&demo);
	if (error < 0)
		(void)log_errno(error,
				"cannot make the demo's network namespaces (root is needed)");
	else
		error = show(&demo);
	end(demo.sidecar);
	end(demo.gateway);
	if (demo.service > 0)
		(void)kill(demo.service, SIGKILL);
	(void)safe_close(demo.host_netns);
	(void)safe_close(demo.container_netns);
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
