// SPDX-License-Identifier: Apache-2.0
/* `sidestep doctor`: checks for everything that the sidecar needs, and changes nothing. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <linux/magic.h>

#include "commands.h"
#include "commands/doctor.h"
#include "datapath/datapath_nft.h"
#include "lib/netns.h"
#include "lib/privileges.h"
#include "lib/processors.h"
#include "lib/socket_address.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "sidecar/preflight.h"
#include "sidecar/sidecar_options.h"
#include "sidecar/sidecar_threads.h"
#include "sidestep.h"

/* Linux 6.6; libbpf 1.1 does not name it. */
#define ATTACH_TCX_INGRESS 46

#define BPFFS "/sys/fs/bpf"

/* A connection takes two, so this is a thousand connections beside the rest. */
#define FILES_FEW 4096

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

const struct options_command doctor_options_command = {
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

void doctor_tell(struct doctor *doctor, enum doctor_finding finding, const char *subject,
		 const char *format, ...)
{
	static const char *const names[] = {"ok", "warning", "failed"};
	va_list arguments;

	(void)printf("%-7s %s: ", names[finding], subject);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf("\n");
	doctor->failed |= finding == DOCTOR_FAILED;
}

/* Tells of one address of the gateway, and whether it is the @last one. Returns whether it accepts.
 */
static bool check_address(struct doctor *doctor, const struct socket_address *gateway, bool last)
{
	const struct preflight_config config = {.limit_ms = PREFLIGHT_LIMIT_MS, .stop_fd = -1};
	struct preflight_advice advice;
	char text[SOCKET_ADDRESS_TEXT_MAX];
	int error = preflight_check(&config, gateway);

	doctor->gateway = *gateway;
	(void)socket_address_format(gateway, text);
	if (error < 0) {
		advice = preflight_explain(gateway, error);
		doctor_tell(doctor, last ? DOCTOR_FAILED : DOCTOR_WARNING, "gateway",
			    "%s cannot be reached: %s; %s", text, advice.cause, advice.remedy);
	} else if (gateway->address.ss_family != AF_UNIX && instance_holder() >= 0) {
		doctor_tell(
			doctor, DOCTOR_OK, "gateway",
			"%s accepts; where its subnet is not bypassed that was the running sidecar: "
			"see \"preflight\" in its log",
			text);
	} else {
		doctor_tell(doctor, DOCTOR_OK, "gateway", "%s accepts connections", text);
	}
	return error == 0;
}

/* As the sidecar would, takes the first address of the name that accepts. */
static bool check_name(struct doctor *doctor, const struct gateway_target *target)
{
	struct gateway_finder finder = {.target = target, .lookup.stop_fd = -1};
	struct socket_address found[NAME_LOOKUP_MAX];
	int count = gateway_finder_find(&finder, &target->address, found), i;
	const char *cause, *remedy;
	bool accepts = false;

	gateway_finder_clear(&finder);
	if (count < 0) {
		gateway_target_explain(count, &cause, &remedy);
		doctor_tell(doctor, DOCTOR_FAILED, "gateway", "the name %s has no address: %s; %s",
			    target->host, cause, remedy);
	}
	for (i = 0; i < count && !accepts; i++)
		accepts = check_address(doctor, &found[i], i == count - 1);
	return accepts;
}

static int check_gateway(struct doctor *doctor)
{
	const struct sidecar_options *options = &doctor->options;
	struct gateway_target target;
	int error;

	if (!options->gateway && !options->gateway_ip.given && !options->egress_port) {
		doctor_tell(doctor, DOCTOR_WARNING, "gateway",
			    "not checked; give --gateway or --http-egress-port as for the sidecar");
		return 0;
	}
	error = sidecar_options_gateway(options, &target);
	if (error < 0)
		return error;
	doctor->reached = target.host[0] ? check_name(doctor, &target)
					 : check_address(doctor, &target.address, true);
	doctor->gateway_failed = !doctor->reached;
	return 0;
}

static void check_rights(struct doctor *doctor)
{
	if (privileges_have_net_admin())
		doctor_tell(doctor, DOCTOR_OK, "CAP_NET_ADMIN", "held");
	else
		doctor_tell(doctor, DOCTOR_FAILED, "CAP_NET_ADMIN", "missing; --cap-add NET_ADMIN");
}

static void check_bpf(struct doctor *doctor)
{
	_cleanup_close_ int fd = -1;

	if (!privileges_have_bpf()) {
		doctor_tell(
			doctor, DOCTOR_OK, "CAP_BPF",
			"not held: an nftables table steers, until the host's agent (sidestep agent) "
			"comes; --cap-add BPF for own programs");
		return;
	}
	doctor_tell(doctor, DOCTOR_OK, "CAP_BPF", "held");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "doctor", sizeof(int), sizeof(int), 1, NULL);
	if (fd < 0) {
		doctor_tell(doctor, DOCTOR_WARNING, "bpf(2)",
			    "%s: an nftables table steers; allow it in the seccomp profile "
			    "(--security-opt seccomp=...)",
			    strerror(errno));
		return;
	}
	doctor_tell(doctor, DOCTOR_OK, "bpf(2)", "allowed");
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
		doctor_tell(doctor, DOCTOR_OK, "kernel", "Linux %s (%s)", name.release,
			    name.machine);
	if (!doctor->bpf)
		return;
	(void)libbpf_set_print(print_nothing);
	lookup = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, NULL);
	if (lookup == 1)
		doctor_tell(doctor, DOCTOR_OK, "sk_lookup", "available");
	else
		doctor_tell(doctor, DOCTOR_FAILED, "sk_lookup",
			    "%s; BPF needs Linux 5.10 or newer with CONFIG_BPF_SYSCALL; or use "
			    "--datapath nft",
			    lookup < 0 ? strerror(-lookup) : "the kernel lacks it");
	if (bpf_prog_query(LOOPBACK_IFINDEX, (enum bpf_attach_type)ATTACH_TCX_INGRESS, 0, NULL,
			   NULL, &count) == 0)
		doctor_tell(doctor, DOCTOR_OK, "TCX", "available");
	else
		doctor_tell(doctor, DOCTOR_OK, "TCX", "not available (%s): clsact is used",
			    strerror(errno));
}

/* The parts that the table does without. Own programs do not need it. */
static void check_nftables_parts(struct doctor *doctor, const struct datapath_nft_finding *found)
{
	enum doctor_finding finding = doctor->bpf ? DOCTOR_OK : DOCTOR_WARNING;

	if (found->redirect)
		doctor_tell(
			doctor, finding, "nftables tproxy",
			"missing (nft_tproxy, CONFIG_NFT_TPROXY): connections are redirected, and "
			"break if conntrack forgets them; load or build it on the host");
	if (found->no_timeouts)
		doctor_tell(
			doctor, finding, "nftables timeouts",
			"missing (CONFIG_NF_CONNTRACK_TIMEOUT): conntrack forgets a connection a "
			"minute after one end has closed it");
	if (found->no_reject)
		doctor_tell(
			doctor, finding, "nftables reject",
			"missing (nft_reject_inet, CONFIG_NFT_REJECT_INET): after a kill connections "
			"can time out instead of failing at once");
	if (found->no_socket)
		doctor_tell(
			doctor, finding, "nftables socket",
			"missing (nft_socket, CONFIG_NFT_SOCKET): after a kill another process can "
			"take the sidecar's port, and get the connections");
	if (found->no_egress)
		doctor_tell(
			doctor, finding, "nftables egress",
			"missing (Linux 5.16, CONFIG_NETFILTER_EGRESS): packet sockets get past; "
			"--cap-drop NET_RAW for the application");
}

static void check_nftables(struct doctor *doctor)
{
	struct datapath_nft_finding found;
	int error = datapath_nft_try(&found);
	const struct nft_failure *failure = &found.failure;

	if (error == 0) {
		doctor_tell(doctor, DOCTOR_OK, "nftables", "the kernel takes the sidecar's table");
		check_nftables_parts(doctor, &found);
		return;
	}
	doctor_tell(doctor, doctor->bpf ? DOCTOR_WARNING : DOCTOR_FAILED, "nftables",
		    "the kernel refuses %s: %s; it needs CAP_NET_ADMIN and %s on the host%s",
		    *failure->object ? failure->object : "a socket", strerror(-error),
		    failure->needs ? failure->needs : "nf_tables (modprobe nf_tables)",
		    doctor->bpf ? "; BPF steers" : ", or the host's agent (sidestep agent)");
}

void doctor_read_settings(const char *name, int *ret_first, int *ret_second)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[128], text[64];

	*ret_first = *ret_second = -1;
	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	file = fopen(path, "re");
	if (file && fgets(text, sizeof(text), file))
		(void)sscanf(text, "%d %d", ret_first, ret_second);
}

static int read_setting(const char *name)
{
	int first, second;

	doctor_read_settings(name, &first, &second);
	return first;
}

static void check_network(struct doctor *doctor)
{
	int ipv6 = read_setting("ipv6/conf/all/disable_ipv6"), holder = instance_holder();

	if (ipv6 == 0)
		doctor_tell(doctor, DOCTOR_OK, "IPv6", "on");
	else
		doctor_tell(doctor, DOCTOR_WARNING, "IPv6",
			    "off; run the sidecar with --disable-ipv6 if it does not start");
	doctor_tell(doctor, DOCTOR_OK, "source validation",
		    "rp_filter %d, src_valid_mark %d (any will do)",
		    read_setting("ipv4/conf/all/rp_filter"),
		    read_setting("ipv4/conf/all/src_valid_mark"));
	if (holder < 0)
		doctor_tell(doctor, DOCTOR_OK, "other instance", "none in this network namespace");
	else
		doctor_tell(
			doctor, DOCTOR_WARNING, "other instance",
			"process %d intercepts in this network namespace; a second one would not start",
			holder);
}

static void check_namespace(struct doctor *doctor)
{
	if (netns_is_initial())
		doctor_tell(
			doctor, DOCTOR_WARNING, "network namespace",
			"the machine's own; give --bridge for the containers of a bridge, or --host if "
			"all of the machine is meant");
	else
		doctor_tell(doctor, DOCTOR_OK, "network namespace", "a container's");
}

/* The sidecar raises its limit to the hard one. */
static void check_files(struct doctor *doctor)
{
	unsigned int processors = processors_usable(), threads, wanted;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	threads = sidecar_threads_choose(0, processors, limit.rlim_max);
	wanted = sidecar_threads_choose(0, processors, ULONG_MAX);
	if (threads == wanted && limit.rlim_max >= FILES_FEW)
		doctor_tell(doctor, DOCTOR_OK, "open files", "%lu, for %u proxy threads",
			    (unsigned long)limit.rlim_max, threads);
	else
		doctor_tell(doctor, DOCTOR_WARNING, "open files",
			    "%lu, and each connection takes two; %u proxy threads run, and %u "
			    "would; docker run --ulimit nofile=65536",
			    (unsigned long)limit.rlim_max, threads, wanted);
}

/* The agent keeps its maps there, and so does a sidecar with --pin. */
static void check_bpffs(struct doctor *doctor)
{
	struct statfs filesystem;

	if (!doctor->bpf || !netns_is_initial())
		return;
	if (statfs(BPFFS, &filesystem) == 0 && filesystem.f_type == BPF_FS_MAGIC)
		doctor_tell(doctor, DOCTOR_OK, "bpffs", "mounted at " BPFFS);
	else
		doctor_tell(doctor, DOCTOR_WARNING, "bpffs",
			    "not mounted at " BPFFS ", where the agent pins its maps; mount -t bpf "
			    "bpf " BPFFS);
}

static void (*const checks[])(struct doctor *doctor) = {
	check_namespace,    doctor_check_way_out, doctor_check_mtu,
	doctor_check_rules, doctor_check_loop,	  check_rights,
	check_bpf,	    check_kernel,	  check_bpffs,
	check_nftables,	    check_network,	  doctor_check_inner,
	doctor_check_ports, check_files,	  doctor_check_resolver,
};

int command_doctor(int argc, char **argv)
{
	struct doctor doctor = {.failed = false};
	int first, error;
	size_t i;

	error = options_parse(&doctor_options_command, argc, argv, &doctor.options, &first);
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
