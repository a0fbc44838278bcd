// SPDX-License-Identifier: Apache-2.0
#include "doctor/finding.h"

#include <stddef.h>

#define OK	FINDING_OK
#define NOTE	FINDING_NOTE
#define WARNING FINDING_WARNING
#define FAILED	FINDING_FAILED

/* Findings of severity OK have no reason and no remedy. */
const struct finding findings[FINDINGS] = {
	[FINDING_GATEWAY] = {"gateway", "gateway", OK, NULL, NULL},
	[FINDING_GATEWAY_UNCHECKED] = {"gateway-unchecked", "gateway", WARNING,
				       "nothing is known of where connections would go",
				       "give --gateway or --http-egress-port as for the sidecar"},
	[FINDING_GATEWAY_NAME] = {"gateway-name", "gateway", FAILED,
				  "connections to the outside are reset", NULL},
	[FINDING_GATEWAY_ADDRESS] = {"gateway-address", "gateway", WARNING,
				     "the next address of the name is tried", NULL},
	[FINDING_GATEWAY_UNREACHABLE] = {"gateway-unreachable", "gateway", FAILED,
					 "connections to the outside are reset", NULL},
	[FINDING_GATEWAY_ELSEWHERE] = {"gateway-elsewhere", "gateway", FAILED,
				       "connections to the outside are reset", NULL},
	[FINDING_GATEWAY_FULL] = {"gateway-full", "gateway", FAILED,
				  "connections to the outside fail",
				  "look why the gateway accepts nothing, and start it again"},
	[FINDING_GATEWAY_FIREWALL] = {"gateway-firewall", "gateway", FAILED,
				      "connections to the outside fail", NULL},
	[FINDING_GATEWAY_LOOP] = {"gateway-loop", "gateway loop", WARNING,
				  "its own connections would come back to it",
				  "sidestep sidecar --exempt-uid UID or --exempt-cgroup DIR, or "
				  "run the gateway elsewhere"},
	[FINDING_NETNS] = {"netns", "network namespace", OK, NULL, NULL},
	[FINDING_NETNS_HOST] = {"netns-host", "network namespace", WARNING,
				"a sidecar here would intercept the whole machine",
				"give --bridge for the containers of a bridge, or --host if all of "
				"the machine is meant"},
	[FINDING_NETNS_GVISOR] = {"netns-gvisor", "network namespace", FAILED,
				  "no packet of such a container passes this kernel's stack, so a "
				  "sidecar sees none",
				  "sidestep sidecar --bridge NAME on the host"},
	[FINDING_WAY_OUT] = {"way-out", "way out", OK, NULL, NULL},
	[FINDING_WAY_OUT_NONE] = {"way-out-none", "way out", FAILED,
				  "the container whose network this is has ended, or runs in "
				  "another network namespace now",
				  NULL},
	[FINDING_MTU] = {"mtu", "MTU", OK, NULL, NULL},
	[FINDING_MTU_GATEWAY] = {"mtu-gateway", "MTU", WARNING, "larger datagrams are lost", NULL},
	[FINDING_MTU_BRIDGE] = {"mtu-bridge", "MTU", WARNING,
				"the bridge drops larger frames without a word", NULL},
	[FINDING_MTU_VETH] = {"mtu-veth", "MTU", WARNING,
			      "the end with fewer bytes drops larger frames", NULL},
	[FINDING_RULES] = {"rules", "routing rules", OK, NULL, NULL},
	[FINDING_RULES_FIRST] = {"rules-first", "routing rules", WARNING,
				 "connections that it routes are dropped, not steered",
				 "give it a higher number (ip rule add ... priority 1000)"},
	[FINDING_RULES_SPECIAL] = {"rules-special", "routing rules", WARNING,
				   "replies, and other packets that a sidecar lets out, may not "
				   "follow it",
				   "select by addresses (ip rule add from ... to ...)"},
	[FINDING_INNER] = {"inner", "inner devices", OK, NULL, NULL},
	[FINDING_INNER_UNSTEERED] = {"inner-unsteered", "inner devices", WARNING,
				     "containers behind them reach nothing outside, nor do their "
				     "published ports answer",
				     "run the sidecar without --inner off, where the kernel has "
				     "nft_tproxy"},
	[FINDING_INNER_DIRECT] = {"inner-direct", "inner devices", WARNING,
				  "they count as ways out and are guarded: containers behind them "
				  "reach nothing outside",
				  "start the sidecar before such containers, or put their devices "
				  "on a bridge"},
	[FINDING_IPV6] = {"ipv6", "IPv6", OK, NULL, NULL},
	[FINDING_IPV6_OFF] = {"ipv6-off", "IPv6", WARNING,
			      "a sidecar may not be able to open its listeners for IPv6",
			      "sidestep sidecar --disable-ipv6, if it does not start"},
	[FINDING_SOURCE_VALIDATION] = {"source-validation", "source validation", OK, NULL, NULL},
	[FINDING_INSTANCE] = {"instance", "other instance", OK, NULL, NULL},
	[FINDING_INSTANCE_OTHER] = {"instance-other", "other instance", WARNING,
				    "a second one would not start",
				    "none is needed, unless another one is to run: docker stop "
				    "SIDECAR"},
	[FINDING_PORTS] = {"ports", "local ports", OK, NULL, NULL},
	[FINDING_PORTS_FEW] = {"ports-few", "local ports", WARNING,
			       "a connection to the gateway takes one, often for a minute after "
			       "its end",
			       "docker run --sysctl net.ipv4.ip_local_port_range=\"32768 60999\""},
	[FINDING_FILES] = {"files", "open files", OK, NULL, NULL},
	[FINDING_FILES_FEW] = {"files-few", "open files", WARNING, "each connection takes two",
			       "docker run --ulimit nofile=65536"},
	[FINDING_INTERNET_OFF] = {"internet-off", "internet off", OK, NULL, NULL},
	[FINDING_INTERNET_OFF_RESOLVER] = {"internet-off-resolver", "internet off", WARNING,
					   "the control API refuses to turn the internet off",
					   "docker run --dns IP"},
	[FINDING_NET_ADMIN] = {"net-admin", "CAP_NET_ADMIN", OK, NULL, NULL},
	[FINDING_NET_ADMIN_MISSING] = {"net-admin-missing", "CAP_NET_ADMIN", FAILED,
				       "nothing can be steered without it",
				       "docker run --cap-add NET_ADMIN"},
	[FINDING_BPF] = {"bpf", "CAP_BPF", OK, NULL, NULL},
	[FINDING_BPF_MISSING] = {"bpf-missing", "CAP_BPF", NOTE,
				 "an nftables table steers, until the host's agent comes",
				 "docker run --cap-add BPF for own programs, or sidestep agent on "
				 "the host"},
	[FINDING_BPF_PERFMON] = {"bpf-perfmon", "CAP_PERFMON", WARNING,
				 "before Linux 6.1 the verifier takes the programs only with it",
				 "docker run --cap-add PERFMON"},
	[FINDING_BPF_CALL] = {"bpf-call", "bpf(2)", OK, NULL, NULL},
	[FINDING_BPF_SECCOMP] = {"bpf-seccomp", "bpf(2)", WARNING,
				 "an nftables table steers instead of own programs",
				 "docker run --security-opt seccomp=PROFILE that allows bpf, or "
				 "--privileged"},
	[FINDING_BPF_USER_NAMESPACE] = {"bpf-user-namespace", "bpf(2)", WARNING,
					"the kernel takes programs only from its first user "
					"namespace, so an nftables table steers",
					"sidestep agent on the host, or run without user "
					"namespaces (docker run --userns host)"},
	[FINDING_BPF_REFUSED] = {"bpf-refused", "bpf(2)", WARNING,
				 "an nftables table steers instead of own programs",
				 "look at the kernel's lockdown (/sys/kernel/security/lockdown) "
				 "and its security modules"},
	[FINDING_SYSTEM_CALLS] = {"system-calls", "system calls", OK, NULL, NULL},
	[FINDING_SYSTEM_CALLS_REFUSED] = {"system-calls-refused", "system calls", WARNING, NULL,
					  "docker run --security-opt seccomp=PROFILE that allows "
					  "them"},
	[FINDING_SYS_ADMIN_MISSING] = {"sys-admin-missing", "CAP_SYS_ADMIN", FAILED,
				       "network namespaces cannot be made or entered",
				       "run it as root on the host, or with docker run "
				       "--privileged"},
	[FINDING_PTRACE_MISSING] = {"ptrace-missing", "CAP_SYS_PTRACE", FAILED,
				    "the agent cannot open the network namespaces of containers",
				    "docker run --privileged --pid=host"},
	[FINDING_KERNEL] = {"kernel", "kernel", OK, NULL, NULL},
	[FINDING_SK_LOOKUP] = {"sk-lookup", "sk_lookup", OK, NULL, NULL},
	[FINDING_SK_LOOKUP_MISSING] = {"sk-lookup-missing", "sk_lookup", FAILED,
				       "own programs need it",
				       "use Linux 5.10 or newer with CONFIG_BPF_SYSCALL, or "
				       "sidestep sidecar --datapath nft"},
	[FINDING_TCX] = {"tcx", "TCX", OK, NULL, NULL},
	[FINDING_TCX_MISSING] = {"tcx-missing", "TCX", NOTE, "clsact filters are used instead",
				 "none is needed; the agent and bridge mode gain by Linux 6.6"},
	[FINDING_PROGRAMS] = {"programs", "BPF programs", OK, NULL, NULL},
	[FINDING_PROGRAMS_REFUSED] = {"programs-refused", "BPF programs", WARNING,
				      "own programs cannot steer",
				      "sidestep sidecar --log-level debug shows the verifier's "
				      "log; docs/KERNELS.md tells what each kernel lacks"},
	[FINDING_BPFFS] = {"bpffs", "bpffs", OK, NULL, NULL},
	[FINDING_BPFFS_FIXED] = {"bpffs-fixed", "bpffs", NOTE,
				 "it was missing, and was mounted for --fix", NULL},
	[FINDING_BPFFS_UNMOUNTED] = {"bpffs-unmounted", "bpffs", WARNING,
				     "the agent pins its maps there, and so does --pin",
				     "mount -t bpf bpf /sys/fs/bpf, or sidestep doctor --fix"},
	[FINDING_NFTABLES] = {"nftables", "nftables", OK, NULL, NULL},
	[FINDING_NFTABLES_REFUSED] = {"nftables-refused", "nftables", FAILED,
				      "nothing can steer without rights for BPF", NULL},
	[FINDING_NFTABLES_SPARE] = {"nftables-spare", "nftables", WARNING,
				    "BPF steers; without it nothing could", NULL},
	[FINDING_NFT_PARTS] = {"nft-parts", "nftables", OK, NULL, NULL},
	[FINDING_NFT_TPROXY] = {"nft-tproxy", "nftables tproxy", WARNING,
				"connections are redirected, and break if conntrack forgets them",
				"modprobe nft_tproxy on the host (CONFIG_NFT_TPROXY)"},
	[FINDING_NFT_TIMEOUTS] = {"nft-timeouts", "nftables timeouts", WARNING,
				  "conntrack forgets a connection a minute after one end has "
				  "closed it",
				  "build the kernel with CONFIG_NF_CONNTRACK_TIMEOUT, or use BPF"},
	[FINDING_NFT_REJECT] = {"nft-reject", "nftables reject", WARNING,
				"after a kill connections can time out instead of failing at once",
				"modprobe nft_reject_inet on the host (CONFIG_NFT_REJECT_INET)"},
	[FINDING_NFT_SOCKET] = {"nft-socket", "nftables socket", WARNING,
				"after a kill another process can take the sidecar's port, and "
				"get the connections",
				"modprobe nft_socket on the host (CONFIG_NFT_SOCKET)"},
	[FINDING_NFT_EGRESS] = {"nft-egress", "nftables egress", WARNING, "packet sockets get past",
				"docker run --cap-drop NET_RAW for the application (Linux 5.16 "
				"with CONFIG_NETFILTER_EGRESS guards devices)"},
	[FINDING_OWNERS] = {"owners", "other owners", OK, NULL, NULL},
	[FINDING_OWNERS_TC] = {"owners-tc", "other owners", WARNING,
			       "programs of others may drop, change or redirect packets before "
			       "they are steered, or after",
			       "bpftool net and tc filter show dev DEVICE ingress tell whose they "
			       "are"},
	[FINDING_OWNERS_NFT] = {"owners-nft", "other owners", NOTE,
				"its rules also see what is steered, and may drop it",
				"none is needed, unless packets are lost: nft list ruleset"},
	[FINDING_INTERCEPTOR] = {"interceptor", "second interceptor", OK, NULL, NULL},
	[FINDING_INTERCEPTOR_NFT] = {"interceptor-nft", "second interceptor", WARNING,
				     "two interceptors take connections from each other, or send "
				     "them in circles",
				     "stop the other one, or remove its rules (nft list ruleset, "
				     "iptables-save)"},
	[FINDING_INTERCEPTOR_LOOKUP] = {"interceptor-lookup", "second interceptor", WARNING,
					"the kernel asks all of them, and one may take the "
					"connections of the other",
					"bpftool link and bpftool prog show id tell whose it is"},
	[FINDING_LEFTOVERS] = {"leftovers", "leftovers", OK, NULL, NULL},
	[FINDING_LEFTOVERS_ROUTES] = {"leftovers-routes", "leftovers", WARNING,
				      "an earlier instance was killed or left the namespace "
				      "closed, so nothing gets out of it",
				      "start a sidecar, and stop it to open the namespace"},
	[FINDING_LEFTOVERS_PROGRAMS] = {"leftovers-programs", "leftovers", WARNING,
					"they decide by the maps of an instance that has ended",
					"start a sidecar, which replaces them; of an agent: "
					"sidestep agent --clean"},
	[FINDING_LEFTOVERS_TABLE] = {"leftovers-table", "leftovers", WARNING,
				     "an earlier instance was killed, and its table refuses "
				     "connections",
				     "start a sidecar, or nft delete table inet sidestep"},
	[FINDING_LEFTOVERS_PINS] = {"leftovers-pins", "leftovers", WARNING,
				    "its process has ended, and its maps take memory", NULL},
	[FINDING_BRIDGE] = {"bridge", "bridge", OK, NULL, NULL},
	[FINDING_BRIDGE_MISSING] = {"bridge-missing", "bridge", FAILED,
				    "nothing is intercepted until it appears",
				    "give the name that ip link show type bridge or docker network "
				    "ls shows"},
	[FINDING_BRIDGE_UPLINK] = {"bridge-uplink", "bridge", WARNING,
				   "frames that leave by that port are not intercepted", NULL},
	[FINDING_BRIDGE_NETFILTER] = {"bridge-netfilter", "bridge", NOTE,
				      "frames between containers of a bridge pass the host's "
				      "iptables rules, which may drop them",
				      "sysctl -w net.bridge.bridge-nf-call-iptables=0, if "
				      "neighbours do not reach each other"},
	[FINDING_ENGINE] = {"engine", "engine", OK, NULL, NULL},
	[FINDING_ENGINE_SOCKET] = {"engine-socket", "engine", NOTE,
				   "networks and containers cannot be looked up or followed",
				   "docker run -v /var/run/docker.sock:/var/run/docker.sock, or "
				   "--docker-socket PATH"},
	[FINDING_ENGINE_DENIED] = {"engine-denied", "engine", WARNING,
				   "networks and containers cannot be looked up or followed",
				   "run it as root, or as a member of the socket's group"},
	[FINDING_ENGINE_SILENT] = {"engine-silent", "engine", WARNING,
				   "networks and containers cannot be looked up or followed",
				   "systemctl status docker, or --docker-socket PATH"},
	[FINDING_ENGINE_DESKTOP] = {"engine-desktop", "engine", NOTE,
				    "containers run in a virtual machine: this machine's "
				    "addresses are not the gateway's there",
				    "sidestep sidecar --gateway host.docker.internal:PORT"},
	[FINDING_ENGINE_WSL2] = {"engine-wsl2", "engine", NOTE,
				 "Microsoft's kernel lacks tproxy for nftables, so connections "
				 "are redirected there",
				 "docker run --cap-add BPF --cap-add PERFMON for own programs"},
	[FINDING_ENGINE_ROOTLESS] = {"engine-rootless", "engine", NOTE,
				     "its containers are in a user namespace, where no BPF program "
				     "can be loaded: nftables steers",
				     "sidestep agent as root on the host for BPF"},
	[FINDING_ENGINE_PODMAN] = {"engine-podman", "engine", NOTE,
				   "Podman's bridges are podman0, podman1, ..., and its networks "
				   "are followed slowly",
				   "sidestep sidecar --bridge podman0 for its default network"},
	[FINDING_ENGINE_GVISOR] = {"engine-gvisor", "engine", WARNING,
				   "containers of gVisor have a network stack of their own, which "
				   "no sidecar sees",
				   "sidestep sidecar --bridge NAME on the host"},
	[FINDING_CONTAINER] = {"container", "container", OK, NULL, NULL},
	[FINDING_CONTAINER_NONE] = {"container-none", "container", FAILED,
				    "nothing of it can be checked", "docker ps shows the names"},
	[FINDING_CONTAINER_APART] = {"container-apart", "container", FAILED,
				     "they share no network any more, so no sidecar sees what this "
				     "container sends",
				     NULL},
	[FINDING_CONTAINER_GVISOR] = {"container-gvisor", "container", FAILED,
				      "it has a network stack of its own, which no sidecar sees",
				      "sidestep sidecar --bridge NAME on the host"},
	[FINDING_CA] = {"ca", "CA", OK, NULL, NULL},
	[FINDING_CA_MISSING] = {"ca-missing", "CA", WARNING,
				"TLS cannot be opened, or its certificates cannot be checked here",
				"give the sidecar's --ca-dir"},
	[FINDING_CA_UNTRUSTED] = {"ca-untrusted", "CA", WARNING,
				  "TLS that the sidecar opens fails in the application", NULL},
	[FINDING_CA_DATES] = {"ca-dates", "CA", FAILED,
			      "no client takes a certificate that it has signed",
			      "make a new one, or set the clock"},
	[FINDING_CLOCK] = {"clock", "clock", OK, NULL, NULL},
	[FINDING_CLOCK_WRONG] = {"clock-wrong", "clock", FAILED,
				 "certificates count as not yet valid, so TLS fails",
				 "timedatectl set-ntp true"},
	[FINDING_CLOCK_UNSYNCHRONISED] = {"clock-unsynchronised", "clock", NOTE,
					  "a clock that drifts ends in certificates that count as "
					  "not yet valid, or no longer",
					  "timedatectl set-ntp true"},
	[FINDING_AGENT] = {"agent", "agent", OK, NULL, NULL},
	[FINDING_AGENT_NONE] = {"agent-none", "agent", NOTE,
				"no agent has maps here, so none serves a sidecar",
				"sidestep agent"},
	[FINDING_AGENT_GONE] = {"agent-gone", "agent", WARNING,
				"its sidecar has ended, and nothing gets out of the network "
				"namespace",
				"start its sidecar again"},
	[FINDING_AGENT_UNGUARDED] = {"agent-unguarded", "agent", WARNING,
				     "packets that leave by it are neither steered nor stopped",
				     "start the agent again"},
};

const char *finding_severity_name(enum finding_severity severity)
{
	static const char *const names[] = {"ok", "note", "warning", "failed"};

	return names[severity];
}
