// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_gate.h"

#include <errno.h>
#include <net/if.h> /* before <linux/if_arp.h> */
#include <linux/filter.h>
#include <linux/if_arp.h>

#include "lib/log.h"
#include "lib/util.h"

#define ADVICE "; if it may read them, give its address or subnet with --metrics-allow"

/* Drops what arrives by another device than a loopback one. The filter reads the real device, which
 * the sender cannot choose. A neighbour reaches 127.0.0.1 where route_localnet is on. */
static int keep_to_lo(int listener)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_HATYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

static int open_application(struct metrics_gate *gate, int listener)
{
	int error = control_origin_new(&gate->origin);

	return error < 0 ? error : control_origin_guard(listener);
}

int metrics_gate_open(struct metrics_gate *gate, int listener, const struct socket_address *address)
{
	int error = 0;

	if (address->address.ss_family == AF_UNIX)
		return 0;
	if (gate->application)
		error = open_application(gate, listener);
	else if (socket_address_is_loopback(address))
		error = keep_to_lo(listener);
	return error < 0 ? log_errno(error, "cannot tell who asks for metrics") : 0;
}

void metrics_gate_close(struct metrics_gate *gate)
{
	control_origin_free(gate->origin);
	gate->origin = NULL;
}

/* Logs a refusal. @advice: what to do if the peer may read, or "". */
static int refuse(struct metrics_gate *gate, const struct sockaddr *peer, const char *why,
		  const char *advice)
{
	char text[ADDRESS_TEXT_MAX], suffix[COMPLAINT_SUFFIX_MAX];

	if (complaint_due(&gate->refused, suffix))
		log_warning("metrics: request of %s refused (403): it comes from %s%s%s",
			    endpoint_format(peer, text), why, advice, suffix);
	return -EACCES;
}

static int judge_application(struct metrics_gate *gate, int fd, const struct sockaddr *peer)
{
	const char *why = NULL;
	int error = control_origin_judge(gate->origin, fd, peer, gate->allow, gate->allow_count,
					 &why);

	if (error == -EPERM)
		return refuse(gate, peer, why, "");
	return error == -EACCES ? refuse(gate, peer, why, ADVICE) : error;
}

int metrics_gate_judge(struct metrics_gate *gate, int fd, const struct sockaddr *peer)
{
	struct socket_address own = {.size = sizeof(own.address)};

	if (peer->sa_family == AF_UNIX)
		return 0;
	if (gate->application)
		return judge_application(gate, fd, peer);
	if (getsockname(fd, (struct sockaddr *)&own.address, &own.size) < 0)
		return -ENOTCONN;
	if (socket_address_is_loopback(&own) ||
	    prefixes_contain(gate->allow, gate->allow_count, peer))
		return 0;
	return refuse(gate, peer, "an address that is not allowed", ADVICE);
}
