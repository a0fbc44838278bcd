// SPDX-License-Identifier: Apache-2.0
/* `sidestep doctor`: checks for everything that the sidecar needs, and changes nothing. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>

#include "commands.h"
#include "datapath/datapath_nft.h"
#include "lib/netns.h"
#include "lib/privileges.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "sidecar/preflight.h"
#include "sidecar/sidecar_options.h"
#include "sidestep.h"

/* Linux 6.6; libbpf 1.1 does not name it. */
#define ATTACH_TCX_INGRESS 46

enum finding {
	FINDING_OK,
	FINDING_WARNING,
	FINDING_FAILED,
};

struct doctor {
	struct sidecar_options options; /* only the gateway's */
	bool bpf;			/* this process can load BPF programs */
	bool failed;
	bool gateway_failed;
};

static const struct option_example examples[] = {
	{"Check for a sidecar in an application container's network namespace:",
	 "docker run --rm --network container:app --cap-add NET_ADMIN IMAGE doctor --gateway "
	 "172.17.0.1:8080"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "no check failed; there may be warnings"},
	{STATUS_FAILED, "a check failed that the sidecar needs"},
	{STATUS_USAGE, "wrong command line"},
	{STATUS_GATEWAY, "the gateway cannot be reached; other checks may have failed, too"},
};

static const struct options_command command = {
	.name = "sidestep doctor",
	.summary = "Finds out what a sidecar would lack here, and prints remedies.",
	.description = "Prints a line for each check: ok, warning or failed, the subject, the "
		       "finding, and the remedy. Run it in the sidecar's network namespace with "
		       "the sidecar's rights. It connects to the gateway and closes. It sends and "
		       "changes nothing.",
	.entries = sidecar_entries,
	.entry_count = SIDECAR_GATEWAY_ENTRIES,
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
};

/* Prints a line: "FINDING SUBJECT: DETAIL; REMEDY". */
__attribute__((format(printf, 4, 5))) static void tell(struct doctor *doctor, enum finding finding,
						       const char *subject, const char *format, ...)
{
	static const char *const names[] = {"ok", "warning", "failed"};
	va_list arguments;

	(void)printf("%-7s %s: ", names[finding], subject);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf("\n");
	doctor->failed |= finding == FINDING_FAILED;
}

static int check_gateway(struct doctor *doctor)
{
	const struct preflight_config config = {.limit_ms = PREFLIGHT_LIMIT_MS, .stop_fd = -1};
	const struct sidecar_options *options = &doctor->options;
	struct socket_address gateway;
	struct preflight_advice advice;
	char text[128];
	int error;

	if (!options->gateway && !options->gateway_ip.given && !options->egress_port) {
		tell(doctor, FINDING_WARNING, "gateway",
		     "not checked; give --gateway or --http-egress-port as for the sidecar");
		return 0;
	}
	error = sidecar_options_gateway(options, &gateway);
	if (error < 0)
		return error;
	(void)socket_address_format(&gateway, text);
	error = preflight_check(&config, &gateway);
	if (error < 0) {
		advice = preflight_explain(&gateway, error);
		doctor->gateway_failed = true;
		tell(doctor, FINDING_FAILED, "gateway", "%s cannot be reached: %s; %s", text,
		     advice.cause, advice.remedy);
	} else if (gateway.address.ss_family != AF_UNIX && instance_holder() >= 0) {
		tell(doctor, FINDING_OK, "gateway",
		     "%s accepts; where its subnet is not bypassed that was the running sidecar: "
		     "see \"preflight\" in its log",
		     text);
	} else {
		tell(doctor, FINDING_OK, "gateway", "%s accepts connections", text);
	}
	return 0;
}

static void check_rights(struct doctor *doctor)
{
	if (privileges_have_net_admin())
		tell(doctor, FINDING_OK, "CAP_NET_ADMIN", "held");
	else
		tell(doctor, FINDING_FAILED, "CAP_NET_ADMIN", "missing; --cap-add NET_ADMIN");
}

static void check_bpf(struct doctor *doctor)
{
	_cleanup_close_ int fd = -1;

	if (!privileges_have_bpf()) {
		tell(doctor, FINDING_OK, "CAP_BPF",
		     "not held: an nftables table steers, until the host's agent (sidestep agent) "
		     "comes; --cap-add BPF for own programs");
		return;
	}
	tell(doctor, FINDING_OK, "CAP_BPF", "held");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "doctor", sizeof(int), sizeof(int), 1, NULL);
	if (fd < 0) {
		tell(doctor, FINDING_WARNING, "bpf(2)",
		     "%s: an nftables table steers; allow it in the seccomp profile "
		     "(--security-opt seccomp=...)",
		     strerror(errno));
		return;
	}
	tell(doctor, FINDING_OK, "bpf(2)", "allowed");
	doctor->bpf = true;
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static void check_kernel(struct doctor *doctor)
{
	unsigned int count = 0;
	struct utsname name;
	int lookup;

	if (uname(&name) == 0)
		tell(doctor, FINDING_OK, "kernel", "Linux %s (%s)", name.release, name.machine);
	if (!doctor->bpf)
		return;
	(void)libbpf_set_print(print_nothing);
	lookup = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, NULL);
	if (lookup == 1)
		tell(doctor, FINDING_OK, "sk_lookup", "available");
	else
		tell(doctor, FINDING_FAILED, "sk_lookup",
		     "%s; BPF needs Linux 5.10 or newer with CONFIG_BPF_SYSCALL; or use "
		     "--datapath nft",
		     lookup < 0 ? strerror(-lookup) : "the kernel lacks it");
	if (bpf_prog_query(LOOPBACK_IFINDEX, (enum bpf_attach_type)ATTACH_TCX_INGRESS, 0, NULL,
			   NULL, &count) == 0)
		tell(doctor, FINDING_OK, "TCX", "available");
	else
		tell(doctor, FINDING_OK, "TCX", "not available (%s): clsact is used",
		     strerror(errno));
}

/* The parts that the table does without. Own programs do not need it. */
static void check_nftables_parts(struct doctor *doctor, const struct datapath_nft_finding *found)
{
	enum finding finding = doctor->bpf ? FINDING_OK : FINDING_WARNING;

	if (found->redirect)
		tell(doctor, finding, "nftables tproxy",
		     "missing (nft_tproxy, CONFIG_NFT_TPROXY): connections are redirected, and "
		     "break if conntrack forgets them; load or build it on the host");
	if (found->no_timeouts)
		tell(doctor, finding, "nftables timeouts",
		     "missing (CONFIG_NF_CONNTRACK_TIMEOUT): conntrack forgets a connection a "
		     "minute after one end has closed it");
	if (found->no_reject)
		tell(doctor, finding, "nftables reject",
		     "missing (nft_reject_inet, CONFIG_NFT_REJECT_INET): after a kill connections "
		     "can time out instead of failing at once");
	if (found->no_socket)
		tell(doctor, finding, "nftables socket",
		     "missing (nft_socket, CONFIG_NFT_SOCKET): after a kill another process can "
		     "take the sidecar's port, and get the connections");
	if (found->no_egress)
		tell(doctor, finding, "nftables egress",
		     "missing (Linux 5.16, CONFIG_NETFILTER_EGRESS): packet sockets get past; "
		     "--cap-drop NET_RAW for the application");
}

static void check_nftables(struct doctor *doctor)
{
	struct datapath_nft_finding found;
	int error = datapath_nft_try(&found);
	const struct nft_failure *failure = &found.failure;

	if (error == 0) {
		tell(doctor, FINDING_OK, "nftables", "the kernel takes the sidecar's table");
		check_nftables_parts(doctor, &found);
		return;
	}
	tell(doctor, doctor->bpf ? FINDING_WARNING : FINDING_FAILED, "nftables",
	     "the kernel refuses %s: %s; it needs CAP_NET_ADMIN and %s on the host%s",
	     *failure->object ? failure->object : "a socket", strerror(-error),
	     failure->needs ? failure->needs : "nf_tables (modprobe nf_tables)",
	     doctor->bpf ? "; BPF steers" : ", or the host's agent (sidestep agent)");
}

/* Returns a number from /proc/sys/net, or -1. */
static int read_setting(const char *name)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[128], text[32];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	file = fopen(path, "re");
	return file && fgets(text, sizeof(text), file) ? (int)strtol(text, NULL, 10) : -1;
}

static void check_network(struct doctor *doctor)
{
	int ipv6 = read_setting("ipv6/conf/all/disable_ipv6"), holder = instance_holder();

	if (ipv6 == 0)
		tell(doctor, FINDING_OK, "IPv6", "on");
	else
		tell(doctor, FINDING_WARNING, "IPv6",
		     "off; run the sidecar with --disable-ipv6 if it does not start");
	tell(doctor, FINDING_OK, "source validation",
	     "rp_filter %d, src_valid_mark %d (any will do)",
	     read_setting("ipv4/conf/all/rp_filter"), read_setting("ipv4/conf/all/src_valid_mark"));
	if (holder < 0)
		tell(doctor, FINDING_OK, "other instance", "none in this network namespace");
	else
		tell(doctor, FINDING_WARNING, "other instance",
		     "process %d intercepts in this network namespace; a second one would not start",
		     holder);
}

static void check_namespace(struct doctor *doctor)
{
	if (netns_is_initial())
		tell(doctor, FINDING_WARNING, "network namespace",
		     "the machine's own; give --bridge for the containers of a bridge, or --host if "
		     "all of the machine is meant");
	else
		tell(doctor, FINDING_OK, "network namespace", "a container's");
}

static void (*const checks[])(struct doctor *doctor) = {
	check_namespace, check_rights, check_bpf, check_kernel, check_nftables, check_network,
};

int command_doctor(int argc, char **argv)
{
	struct doctor doctor = {.failed = false};
	int first, error;
	size_t i;

	error = options_parse(&command, argc, argv, &doctor.options, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	if (check_gateway(&doctor) < 0)
		return STATUS_USAGE;
	for (i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i](&doctor);
	if (doctor.gateway_failed)
		return STATUS_GATEWAY;
	return doctor.failed ? STATUS_FAILED : STATUS_OK;
}
