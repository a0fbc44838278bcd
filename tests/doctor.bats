#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The gateway's preflight in the sidecar's log, and `sidestep doctor`. Each of its findings has a test that plants
# the fault. All share one bed, so each test mends what it broke.

load lib/testbed.bash
load lib/scenarios.bash

# shellcheck disable=SC2034 # for scenarios.bash
DATAPATH=bpf

setup_file() {
	bed_start
}

teardown_file() {
	bed_stop
}

# A test that failed may have left them.
teardown() {
	local name
	for name in sidecar gateway near app; do
		bed_kill "$name" >/dev/null 2>&1 || true
	done
	bed_kill agent KILL >/dev/null 2>&1 || true
	bed_exec host nft flush ruleset
}

# doctor STATUS [ARGUMENT...] - runs it in the application's namespace, puts its lines into $output and
# compares its status.
doctor() {
	local expected=$1
	shift
	run bed_exec app "$SIDESTEP" doctor "$@"
	echo "$output"
	[ "$status" = "$expected" ]
}

# finding COMMAND... - prints "SEVERITY ID" for each finding that is not ok. COMMAND runs a doctor with --json.
finding() {
	"$@" --json | awk -F'"' '
		$2 == "id" { id = $4 }
		$2 == "severity" && $4 != "ok" { print $4, id }' | sort
}

# Those of an application without a fault.
finding_app() {
	finding bed_exec app "$SIDESTEP" doctor --gateway "$BED_HOST:8080"
}

@test "without a gateway the log names cause and remedy before any connection, and doctor ends with 4" {
	sidecar
	bed_wait_line sidecar \
		"warning: preflight: the gateway $BED_HOST:8080 cannot be reached.*: nothing listens there; start the gateway" 5
	bed_kill sidecar
	doctor 4 --gateway "$BED_HOST:8080"
	[[ $output == *"failed  gateway: $BED_HOST:8080 cannot be reached: nothing listens there [gateway-unreachable]"*"do:  start the gateway"* ]]
	doctor 4 --gateway-ip "$BED_HOST" --http-egress-port 8080
	doctor 4 --gateway "unix:$BED_DIR/none"
	[[ $output == *"no such socket"*"start the gateway, and mount"* ]]
	doctor 4 --gateway nobody.invalid:8080
	[[ $output == *"[gateway-name]"* ]]
}

@test "with a gateway the log says so, the gateway sees no CONNECT, and doctor ends with 0" {
	gateway
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"ok      gateway: $BED_HOST:8080 accepts connections"* ]]
	[ -z "$(finding_app)" ]
	# Of a name the first address that accepts counts.
	printf '127.0.0.9 two.test\n%s two.test\n' "$BED_HOST" >"$BED_DIR/hosts"
	finding bed_exec app unshare --mount sh -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' - "$BED_DIR/hosts" \
		"$SIDESTEP" doctor --gateway two.test:8080 | grep -x "warning gateway-address"
	sidecar
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached" 5
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"warning other instance: process "* ]]
	[ "$(finding_app)" = "warning instance-other" ]
	[ "$(grep -c destination "$BED_DIR/gateway.log")" = 0 ]
}

@test "a port that the control API changes is checked again" {
	gateway
	sidecar --http-ingress-address "0.0.0.0:39001"
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8080 can be reached" 5
	bed_exec host curl -fsS --max-time 5 -X PUT -d '{"port":8999}' "http://$BED_APP:39001/egress"
	bed_wait_line sidecar "preflight: the gateway $BED_HOST:8999 cannot be reached" 5
}

@test "doctor --json has the fields that docs/DOCTOR.md tells, and the exit status" {
	run bed_exec app "$SIDESTEP" doctor --json --gateway "unix:$BED_DIR/none"
	[ "$status" = 4 ]
	python3 - "$output" <<-'PROGRAM'
		import json, sys
		found = json.loads(sys.argv[1])
		assert (found["schema"], found["status"]) == (1, 4) and found["version"], found
		for finding in found["findings"]:
		    assert set(finding) == {"id", "subject", "severity", "place", "message", "why", "remedy"}
		    assert finding["severity"] in ("ok", "note", "warning", "failed")
		    assert finding["severity"] == "ok" or finding["why"] and finding["remedy"], finding
	PROGRAM
}

@test "doctor names missing rights and the remedy, and warns without a gateway" {
	run bed_exec app setpriv --bounding-set=-all --inh-caps=-all "$SIDESTEP" doctor
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"warning gateway: not checked [gateway-unchecked]"* ]]
	[[ $output == *"failed  CAP_NET_ADMIN: missing [net-admin-missing]"*"docker run --cap-add NET_ADMIN"* ]]
	[[ $output == *"failed  nftables: "* ]]
	run bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" doctor
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"note    CAP_BPF: not held [bpf-missing]"*"an nftables table steers"* ]]
}

# A seccomp filter of the classic kind: system call NUMBER fails with EPERM, if its first argument is FIRST.
filtered() { # NUMBER [FIRST] COMMAND...
	python3 -c '
import ctypes, os, struct, sys
first = [int(sys.argv.pop(2))] if sys.argv[2].isdigit() else []
code = [(0x20, 0, 0, 0), (0x15, 0, 1 + 2 * len(first), int(sys.argv[1])),
        *[line for value in first for line in ((0x20, 0, 0, 16), (0x15, 0, 1, value))],
        (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(code), ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])' "$@"
}

# number NAME - prints the number of a system call.
number() {
	echo "#include <sys/syscall.h>
		SYS_$1" | gcc -E -P - | tail -n 1
}

@test "doctor tells a seccomp filter from a user namespace that keeps BPF away, and names other calls" {
	finding filtered "$(number bpf)" "$SIDESTEP" doctor | grep -x "warning bpf-seccomp"
	finding filtered "$(number splice)" "$SIDESTEP" doctor | grep -x "warning system-calls-refused"
	finding unshare --user --map-root-user --net "$SIDESTEP" doctor >"$BED_DIR/found"
	grep -x "warning bpf-user-namespace" "$BED_DIR/found"
	! grep seccomp "$BED_DIR/found" || false
	# All numbers are mapped to themselves, as by PrivateUsers=full of systemd.
	bed_spawn app near unshare --user sleep infinity
	bed_until 5 foreign_user near
	echo "0 0 4294967295" | tee "/proc/$(bed_pid near)/uid_map" >"/proc/$(bed_pid near)/gid_map"
	finding nsenter --user --target "$(bed_pid near)" unshare --net "$SIDESTEP" doctor | grep -x "warning bpf-user-namespace"
}

# foreign_user NAME - it is in another user namespace than this shell.
foreign_user() {
	[ "$(readlink "/proc/$(bed_pid "$1")/ns/user")" != "$(readlink /proc/self/ns/user)" ]
}

# answering CALL INJECTION COMMAND... - strace(1) answers this system call in the kernel's place.
answering() {
	strace -qq -o "$BED_DIR/trace" -e "trace=$1" -e "inject=$1:$2" "${@:3}"
}

@test "doctor tells lockdown from a filter, and names what a kernel before 6.1 wants for BPF" {
	# Lockdown and security modules refuse as the kernel does, without a filter.
	finding answering bpf error=EPERM "$SIDESTEP" doctor >"$BED_DIR/found"
	cat "$BED_DIR/found"
	grep -x "warning bpf-refused" "$BED_DIR/found"
	! grep seccomp "$BED_DIR/found" || false
	# The kernel tells the program a release before 3.0.
	finding setarch --uname-2.6 setpriv --bounding-set=-all,+net_admin,+bpf --inh-caps=-all "$SIDESTEP" doctor |
		grep -x "warning bpf-perfmon"
	finding setarch --uname-2.6 setpriv --bounding-set=-all,+net_admin,+bpf,+perfmon --inh-caps=-all "$SIDESTEP" doctor |
		grep -c bpf-perfmon | grep -x 0
}

@test "row 2: doctor names a gateway that takes smaller packets than the device sends" {
	gateway
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output == *"ok      MTU: 1500 bytes on the way to the gateway"* ]]
	bed_exec host ip link set br0 mtu 1400
	doctor 0 --gateway "$BED_HOST:8080"
	bed_exec host ip link set br0 mtu 1500
	[[ $output == *"warning MTU: the gateway takes packets of 1400 bytes, the device here sends 1500 [mtu-gateway]"*"driver.mtu=1400"* ]]
}

@test "row 3: doctor names a network namespace that its application has left" {
	doctor 0
	[[ $output == *"ok      way out: by eth0"* ]]
	run unshare --net "$SIDESTEP" doctor
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"failed  way out: no device leads outside [way-out-none]"*"docker restart"* ]]
}

@test "row 10: doctor names local ports that soon run out" {
	doctor 0
	[[ $output == *"ok      local ports: "* ]]
	bed_exec app sysctl -qw net.ipv4.ip_local_port_range="40000 40999"
	doctor 0
	bed_exec app sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
	[[ $output == *"warning local ports: 1000, and "*"[ports-few]"*"net.ipv4.ip_local_port_range="* ]]
}

@test "row 17: doctor names a gateway whose own connections would come back to it" {
	bed_spawn app near "$SIDESTEP" gateway --listen 127.0.0.1:8080
	bed_until 5 bed_listening app 8080
	doctor 0 --gateway 127.0.0.1:8080
	[[ $output == *"warning gateway loop: it is in this network namespace [gateway-loop]"*"--exempt-uid"* ]]
	bed_kill near
	gateway
	doctor 0 --gateway "$BED_HOST:8080"
	[[ $output != *"gateway loop"* ]]
}

@test "row 18: doctor names a limit of open files that is low" {
	doctor 0
	[[ $output == *"ok      open files: "* ]]
	run bed_exec app sh -c 'ulimit -n 256; exec "$0" doctor' "$SIDESTEP"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"warning open files: 256"*"[files-few]"*"each connection takes two"*"--ulimit nofile=65536"* ]]
}

@test "row 19: doctor names an engine's resolver that no sidecar steers" {
	doctor 0
	[[ $output == *"ok      internet off: no resolver of the engine's here"* ]]
	printf 'nameserver 127.0.0.11\n# ExtServers: [host(127.0.0.53)]\n' >"$BED_DIR/resolv.conf"
	run bed_exec app unshare --mount sh -c 'mount --bind "$1" /etc/resolv.conf; exec "$0" doctor' "$SIDESTEP" \
		"$BED_DIR/resolv.conf"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"warning internet off: the engine's resolver asks from the host's network namespace [internet-off-resolver]"*"--dns"* ]]
}

@test "row n12: doctor names devices that lead to containers without a bridge, which count as ways out" {
	_bed_namespace direct
	_bed_ip app <<-COMMANDS
		link add cali0 type veth peer name eth0 netns $BED_DIR/ns/direct
		link set cali0 up
	COMMANDS
	gateway
	[ "$(finding_app)" = "warning inner-direct" ]
	bed_exec app ip link del cali0
	[ -z "$(finding_app)" ]
}

# outside ARGUMENT... - a doctor on the host of the bed that looks at the application's namespace.
outside() {
	bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --pid "$(bed_pid app)" --gateway "$BED_HOST:8080" "$@"
}

@test "from the host doctor looks into a container's namespace: MTU of both ends, and no such container" {
	gateway
	bed_spawn app app sleep infinity
	sidecar
	[ "$(finding outside)" = "note engine-socket" ]
	bed_kill sidecar
	[ "$(finding outside)" = "note engine-socket" ]
	bed_exec host ip link set app-eth0 mtu 1400
	finding outside | grep -x "warning mtu-veth"
	run outside
	bed_exec host ip link set app-eth0 mtu 1500
	[[ $output == *"warning MTU in process "*": eth0 has 1500 bytes, and its end on the host, app-eth0, 1400"*"ip link set app-eth0 mtu 1500"* ]]
	bed_kill gateway
	run outside
	[ "$status" = 4 ]
	run "$SIDESTEP" doctor --container none --docker-socket "$BED_DIR/none"
	[ "$status" = 1 ]
	[[ $output == *"failed  container: none: "*"[container-none]"* ]]
	run "$SIDESTEP" doctor --pid 1 --bridge br0
	[ "$status" = 2 ]
}

@test "doctor checks the CA: whether it is there, its dates, the clock, and whether the application trusts it" {
	local ca=$BED_DIR/ca
	mkdir -p "$ca" "$BED_DIR/early" "$BED_DIR/root/etc/ssl/certs"
	checks() { # ID [ARGUMENT...] - the doctor with this CA finds it
		finding bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --ca-dir "${DIRECTORY:-$ca}" "${@:2}" |
			grep -x "$1"
	}
	checks "warning ca-missing"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -days 2 \
		-keyout "$ca/ca.key" -out "$ca/ca.crt" 2>/dev/null
	run checks "(warning|failed) ca-.*"
	[ -z "$output" ]
	bed_spawn app app sleep infinity
	checks "warning ca-untrusted" --pid "$(bed_pid app)"
	bed_kill app
	# The application names the file itself, or has it in its store.
	bed_spawn app app env "NODE_EXTRA_CA_CERTS=$ca/ca.crt" sleep infinity
	! checks "warning ca-untrusted" --pid "$(bed_pid app)" || false
	bed_kill app
	printf '#include <time.h>\ntime_t time(time_t *at) { return at ? (*at = 1000) : 1000; }\n' |
		gcc -shared -fPIC -x c -o "$BED_DIR/early.so" -
	LD_PRELOAD=$BED_DIR/early.so checks "failed clock-wrong"
	LD_PRELOAD=$BED_DIR/early.so checks "failed ca-dates"
	# adjtimex(2) returns the clock's state: TIME_OK, or TIME_ERROR.
	finding answering clock_adjtime retval=5 "$SIDESTEP" doctor --ca-dir "$ca" | grep -x "note clock-unsynchronised"
	finding answering clock_adjtime retval=0 "$SIDESTEP" doctor --ca-dir "$ca" | grep -c clock | grep -x 0
}

@test "doctor checks for bridge mode: the bridge, ports that lead out, their MTU, and bridge netfilter" {
	bridges() {
		finding bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --gateway "$BED_HOST:8080" "$@"
	}
	gateway
	if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
		bed_exec host sysctl -qw net.bridge.bridge-nf-call-iptables=1
		bridges --bridge br0 | grep -x "note bridge-netfilter"
		bed_exec host sysctl -qw net.bridge.bridge-nf-call-iptables=0
	fi
	[ "$(bridges --bridge br0)" = "note engine-socket" ]
	bridges --bridge nobody | grep -x "failed bridge-missing"
	# One that runs has programs and rules of its own there, which are no leftovers.
	bridge_sidecar
	! bridges --bridge br0 --pin "$BED_BPFFS/sidestep/agent" | grep -E "leftovers|owners" || false
	bed_kill sidecar
	_bed_ip host <<-COMMANDS
		link add outward type vxlan id 9 local $BED_UPLINK dstport 4789
		link set outward master br0
		link set outward mtu 1400
		link set br0 mtu 1500
	COMMANDS
	bridges --bridge br0 >"$BED_DIR/found"
	cat "$BED_DIR/found"
	grep -x "warning bridge-uplink" "$BED_DIR/found"
	grep -x "warning mtu-bridge" "$BED_DIR/found"
	bed_exec host ip link del outward
}

@test "doctor checks the agent, and each namespace that it serves: its sidecar, devices and rules" {
	bed_needs_linux 6.6 "TCX links"
	agents() {
		finding bed_exec host "$SIDESTEP" doctor --agent --docker-socket "$BED_DIR/none" --pin "$(SIDE_PIN)"
	}
	[ "$(agents)" = "note agent-none
note engine-socket" ]
	agent_sidecar
	bed_spawn app app sleep infinity
	[ "$(agents)" = "note engine-socket" ]
	_bed_ip app <<-COMMANDS
		rule add to 203.0.113.0/24 table 51820 priority 50
		route add default dev lo table 51820
	COMMANDS
	agents | grep -x "warning rules-first"
	_bed_ip app <<-COMMANDS
		rule del to 203.0.113.0/24 table 51820 priority 50
		rule add fwmark 7 table 51820 priority 1000
	COMMANDS
	agents | grep -x "warning rules-special"
	bed_exec app ip rule del priority 1000
	bed_kill agent KILL
	_bed_plug app eth7 br0 172.30.0.77 fd30::77
	agents | grep -x "warning agent-unguarded"
	bed_exec app ip link del eth7
	bed_kill sidecar KILL
	agents | grep -x "warning agent-gone"
	"$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
	# It removes what is left in the namespace.
	sidecar
	bed_kill sidecar
}

# firewalled REMEDY - the doctor names a firewall on the host, and what mends it.
firewalled() {
	run outside
	echo "$output"
	[ "$status" = 4 ]
	[[ $output == *"[gateway-firewall]"*"do:  $1"* ]]
}

@test "doctor names a gateway that listens at another address, is full, or is behind ufw or firewalld" {
	bed_spawn app app sleep infinity
	bed_spawn host gateway "$SIDESTEP" gateway --listen 127.0.0.1:8080
	bed_until 5 bed_listening host 8080
	run outside
	[ "$status" = 4 ]
	[[ $output == *"failed  gateway in process "*": a listener is at 127.0.0.1:8080, which containers do not reach [gateway-elsewhere]"* ]]
	bed_kill gateway
	# It accepts nothing: two connections wait, and the kernel drops the third one.
	bed_spawn host gateway python3 -uc '
import socket, signal, sys
server = socket.create_server((sys.argv[1], 8080), backlog=1)
clients = [socket.create_connection((sys.argv[1], 8080)) for _ in range(2)]
print("ready")
signal.pause()' "$BED_HOST"
	bed_wait_line gateway ready
	run outside
	[ "$status" = 4 ]
	[[ $output == *"its listener is full: 2 connections wait for it to accept them [gateway-full]"* && $output != *gateway-firewall* ]]
	bed_kill gateway
	gateway
	bed_exec host nft "table ip filter { chain ufw-user-input { }; chain INPUT { type filter hook input priority 0; policy drop; jump ufw-user-input; }; }"
	firewalled "ufw allow 8080/tcp"
	[[ $output != *iptables* ]]
	bed_exec host nft flush ruleset
	bed_exec host nft "table inet firewalld { chain filter_INPUT { type filter hook input priority 10; tcp dport 8080 reject with icmpx admin-prohibited; }; }"
	firewalled "firewall-cmd --zone=docker --add-port=8080/tcp"
	bed_exec host nft flush ruleset
}

# mended RULES REMEDY... - with them the doctor names these commands, which mend it.
mended() {
	local remedy
	bed_exec host nft "$1"
	for remedy in "${@:2}"; do
		firewalled "$remedy"
	done
	for remedy in "${@:2}"; do
		bed_exec host sh -c "$remedy"
	done
	run outside
	bed_exec host nft flush ruleset
	echo "$output"
	[ "$status" = 0 ]
}

@test "the remedies of doctor mend a firewall: nftables with a policy, rules, chains and devices, iptables, IPv6" {
	gateway
	bed_spawn app app sleep infinity
	mended "table inet mine { chain input { type filter hook input priority 0; policy drop; }; }
		table ip mine { chain more { tcp dport 8080 reject; }; chain pre { type filter hook prerouting priority 0; jump more; }; }" \
		"nft insert rule inet mine input tcp dport 8080 accept" "nft insert rule ip mine pre tcp dport 8080 accept"
	mended "table netdev mine { chain input { type filter hook ingress device app-eth0 priority 0; tcp dport 8080 drop; }; }" \
		"nft insert rule netdev mine input tcp dport 8080 accept"
	mended "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }" \
		"iptables -I INPUT -p tcp --dport 8080 -j ACCEPT"
	outside() {
		bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --pid "$(bed_pid app)" --gateway "[$BED_HOST6]:8080"
	}
	mended "table ip6 filter { chain INPUT { type filter hook input priority 0; policy drop; meta l4proto icmpv6 accept; }; }" \
		"ip6tables -I INPUT -p tcp --dport 8080 -j ACCEPT"
	# The host forwards to this one, which is behind the chain of Docker's users.
	bed_spawn world near "$SIDESTEP" gateway --listen 192.0.2.1:8080
	bed_until 5 bed_listening world 8080
	outside() {
		bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --pid "$(bed_pid app)" --gateway 192.0.2.1:8080
	}
	mended "table ip filter { chain DOCKER-USER { tcp dport 8080 drop; }; chain FORWARD { type filter hook forward priority 0; jump DOCKER-USER; }; }" \
		"iptables -I DOCKER-USER -p tcp --dport 8080 -j ACCEPT"
	# The doctor does not know this one.
	bed_kill near
	outside() {
		bed_exec host "$SIDESTEP" doctor --docker-socket "$BED_DIR/none" --pid "$(bed_pid app)" --gateway "$BED_HOST:8080"
	}
	bed_exec host tc qdisc replace dev br0 clsact
	clang -target bpf -O2 -x c -c -o "$BED_DIR/drop.o" - <<<'__attribute__((section("tc"), used)) int lose(void *context) { return 2; }'
	bed_exec host tc filter add dev br0 ingress bpf da obj "$BED_DIR/drop.o" sec tc
	firewalled "tc filter show dev DEVICE ingress"
	bed_exec host tc qdisc del dev br0 clsact
}

# foreign - makes foreign.o, which has programs of somebody else.
foreign() {
	[ -e "$BED_DIR/foreign.o" ] || clang -target bpf -O2 -x c -c -o "$BED_DIR/foreign.o" - <<-'PROGRAM'
		__attribute__((section("tc"), used)) int shape(void *context) { return 0; }
		__attribute__((section("sk_lookup"), used)) int choose(void *context) { return 1; }
		char terms[] __attribute__((section("license"), used)) = "GPL";
	PROGRAM
}

@test "doctor names other owners of TC and nftables, also by iptables, and a second interceptor" {
	gateway
	[ -z "$(finding_app)" ]
	foreign
	bed_exec app tc qdisc replace dev eth0 clsact
	bed_exec app tc filter add dev eth0 egress bpf da obj "$BED_DIR/foreign.o" sec tc
	run bed_exec app "$SIDESTEP" doctor
	echo "$output"
	[[ $output == *"warning other owners: eth0 egress has foreign.o [owners-tc]"* ]]
	bed_exec app tc qdisc del dev eth0 clsact
	bed_exec app nft add table ip mine
	[ "$(finding_app)" = "note owners-nft" ]
	# A rule as those of proxy-everything and of istio, by nft and by iptables.
	bed_exec app nft "table ip mine { chain out { type nat hook output priority 0; tcp dport 80 redirect to :15001; }; }"
	finding_app | grep -x "warning interceptor-nft"
	bed_exec app nft flush ruleset
	bed_exec app iptables -t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 15001
	run bed_exec app "$SIDESTEP" doctor
	bed_exec app iptables -t nat -F
	echo "$output"
	[[ $output == *"warning second interceptor: the tables ip nat take connections [interceptor-nft]"* ]]
	bed_exec app nft flush ruleset
	[ -z "$(finding_app)" ]
}

@test "names that an application gives to its devices and programs hide no finding, and reach no terminal" {
	local name=$'bridge\xff\e[31m' program=$BED_DIR/foreign$'\xff\e[31m.o'
	foreign
	cp "$BED_DIR/foreign.o" "$program"
	bed_exec app ip link add "$name" type bridge
	bed_exec app tc qdisc replace dev "$name" clsact
	bed_exec app tc filter add dev "$name" egress bpf da obj "$program" sec tc
	run bed_exec app "$SIDESTEP" doctor
	finding bed_exec app "$SIDESTEP" doctor >"$BED_DIR/found"
	bed_exec app ip link del "$name"
	cat "$BED_DIR/found"
	grep -x "warning owners-tc" "$BED_DIR/found"
	[[ $output == *'bridge\xff\x1b[31m egress has foreign\xff\x1b[31m.o [owners-tc]'* && $output != *$'\e'* ]]
}

@test "doctor names interceptors by iptables of the old kind, which nftables does not know" {
	local tool rule
	legacy() { # COMMAND... - doctor's findings in a network namespace where this has run
		finding unshare --net sh -c 'ip link set lo up && $1 && exec "$2" doctor "$3"' - "$*" "$SIDESTEP"
	}
	for tool in iptables-legacy ip6tables-legacy; do
		unshare --net "$tool" -t nat -S >/dev/null || skip "the kernel has no iptables of the old kind"
		legacy "$tool" -t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 15001 >"$BED_DIR/found"
		cat "$BED_DIR/found"
		grep -x "warning interceptor-nft" "$BED_DIR/found"
		grep -x "note owners-nft" "$BED_DIR/found"
		legacy "$tool" -t mangle -A PREROUTING -p tcp -j TPROXY --on-port 15001 | grep -x "warning interceptor-nft"
		for rule in "filter -A INPUT -p tcp --dport 80 -j DROP" "nat -N REDIRECT2" "mangle -A OUTPUT -j MARK --set-mark 7"; do
			legacy "$tool" -t "$rule" >"$BED_DIR/found"
			grep -x "note owners-nft" "$BED_DIR/found"
			! grep interceptor "$BED_DIR/found" || false
		done
	done
}

@test "doctor names what an earlier instance left: rules, programs, tables and pins" {
	gateway
	sidecar
	bed_kill sidecar KILL
	finding_app >"$BED_DIR/found"
	cat "$BED_DIR/found"
	grep -x "warning leftovers-routes" "$BED_DIR/found"
	grep -x "warning leftovers-programs" "$BED_DIR/found"
	finding bed_exec host "$SIDESTEP" doctor --bridge br0 --pin "$BED_BPFFS/sidestep/agent" --docker-socket "$BED_DIR/none" |
		grep -x "warning leftovers-pins"
	# The remedy: a sidecar takes them over, and leaves nothing at its end.
	# shellcheck disable=SC2034 # for scenarios.bash
	DATAPATH=nft
	sidecar
	[ "$(finding_app)" = "warning instance-other" ]
	bed_kill sidecar KILL
	finding_app | grep -x "warning leftovers-table"
	sidecar
	bed_kill sidecar
	rm -r "$(SIDE_PIN)"
	[ -z "$(finding_app)" ]
}

@test "doctor names programs of others by TCX and sk_lookup, and an agent's that nobody serves any more" {
	local tool
	bed_needs_linux 6.6 "TCX links"
	tool=$("$BED_REPO/tests/deps.sh" bpftool-tcx)
	foreign
	gateway
	bed_exec app "$tool" prog loadall "$BED_DIR/foreign.o" "$BED_BPFFS/foreign"
	bed_exec app "$tool" net attach tcx_ingress pinned "$BED_BPFFS/foreign/shape" dev eth0
	finding_app | grep -x "warning owners-tc"
	bed_exec app "$tool" net detach tcx_ingress dev eth0
	# bpf(2) with BPF_OBJ_GET, and BPF_LINK_CREATE with BPF_SK_LOOKUP.
	bed_spawn app near python3 -c '
import ctypes, os, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, content):
    text = ctypes.create_string_buffer(content.ljust(128, b"\0"))
    return libc.syscall(int(sys.argv[1]), command, text, 128)
path = ctypes.create_string_buffer(sys.argv[2].encode())
program = bpf(7, struct.pack("Q", ctypes.addressof(path)))
assert bpf(28, struct.pack("III", program, os.open("/proc/self/ns/net", os.O_RDONLY), 36)) >= 0, ctypes.get_errno()
print("ready", flush=True)
signal.pause()' "$(number bpf)" "$BED_BPFFS/foreign/choose"
	bed_wait_line near ready
	[ "$(finding_app)" = "warning interceptor-lookup" ]
	bed_kill near
	ATTACH=tcx agent_sidecar
	bed_kill agent KILL
	bed_kill sidecar KILL
	finding_app | grep -x "warning leftovers-programs"
	"$SIDESTEP" agent --clean --pin "$(SIDE_PIN)"
	sidecar
	bed_kill sidecar
	[ -z "$(finding_app)" ]
}

# An engine of another kind: a socket with the answers of several, recorded and merged.
engine_of_all_kinds() {
	bed_spawn host near python3 -uc '
import http.server, json, socketserver, sys
answers = {
    "/version": {"Version": "5.4.2", "Components": [{"Name": "Podman Engine", "Version": "5.4.2"}]},
    "/info": {"OperatingSystem": "Docker Desktop", "KernelVersion": "5.15.167.4-microsoft-standard-WSL2",
              "DefaultRuntime": "runsc", "SecurityOptions": ["name=rootless"]},
    "/containers/inner/json": {"State": {"Pid": int(sys.argv[2])}, "HostConfig": {"Runtime": "runsc"}},
}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = json.dumps(answers.get(self.path, {"message": "no such container"})).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", len(text))
        self.end_headers()
        self.wfile.write(text)
    def address_string(self):
        return ""
socketserver.UnixStreamServer.allow_reuse_address = True
server = socketserver.UnixStreamServer(sys.argv[1], Handler)
print("ready")
server.serve_forever()' "$1" "$2"
	bed_wait_line near ready
}

@test "doctor names the engine's kind, a socket that may not be used, one without an engine, and containers of gVisor" {
	local socket=$BED_DIR/engine.sock found=$BED_DIR/found kind
	engines() {
		finding bed_exec host "${@:2}" "$SIDESTEP" doctor --docker-socket "$1" --gateway "$BED_HOST:8080" \
			--container "${CONTAINER:-nobody}" >"$found"
		cat "$found"
	}
	gateway
	bed_spawn app app sleep infinity
	engine_of_all_kinds "$socket" "$(bed_pid app)"
	CONTAINER=inner engines "$socket"
	for kind in "note engine-podman" "note engine-desktop" "note engine-wsl2" "note engine-rootless" "warning engine-gvisor"; do
		grep -x "$kind" "$found"
	done
	grep -x "failed container-gvisor" "$found"
	engines "$socket"
	grep -x "failed container-none" "$found"
	# In the sidecar's container as well, if its socket is named.
	finding bed_exec app "$SIDESTEP" doctor --docker-socket "$socket" | grep -x "note engine-podman"
	chmod 600 "$socket"
	engines "$socket" setpriv --reuid=65534 --clear-groups
	grep -x "warning engine-denied" "$found"
	bed_kill near
	engines "$socket"
	grep -x "warning engine-silent" "$found"
}

@test "doctor names what nftables lacks, with and without the rights for BPF, and devices as gVisor leaves them" {
	local part good=$SIDESTEP
	# The names of what is lacking are misspelled in the ids as well.
	lacks tproxy reject socket
	finding bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" doctor | sed s/Z$// >"$BED_DIR/found"
	cat "$BED_DIR/found"
	for part in "nft-tproxy" "nft-reject" "nft-socket"; do
		grep -x "warning ${part%?}" "$BED_DIR/found"
	done
	! finding bed_exec app "$SIDESTEP" doctor | grep "nft-" || false
	lacks tproxy redir
	finding bed_exec app "${NET_ADMIN[@]}" "$SIDESTEP" doctor | grep -x "failed nftables-refused"
	finding bed_exec app "$SIDESTEP" doctor | grep -x "warning nftables-spare"
	SIDESTEP=$good
	gcc -shared -fPIC -o "$BED_DIR/older.so" "$BED_REPO/tests/lib/older_nft.c" -lmnl
	for part in timeout egress; do
		finding bed_exec app "${NET_ADMIN[@]}" env "OLDER_NFT=$part" "LD_PRELOAD=$BED_DIR/older.so" "$SIDESTEP" doctor
	done >"$BED_DIR/found"
	cat "$BED_DIR/found"
	[ "$(grep -c "nft-" "$BED_DIR/found")" = 2 ]
	grep -x "warning nft-timeouts" "$BED_DIR/found"
	grep -x "warning nft-egress" "$BED_DIR/found"
	finding unshare --net sh -c 'ip link add eth0 type veth peer name other && ip link set eth0 up && exec "$@"' - \
		"$SIDESTEP" doctor | grep -x "failed netns-gvisor"
	finding unshare --net sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && exec "$@"' - \
		"$SIDESTEP" doctor | grep -x "warning ipv6-off"
}

@test "doctor tries each part of BPF by itself: programs and TCX" {
	# BPF_PROG_LOAD, and BPF_PROG_QUERY.
	finding filtered "$(number bpf)" 5 "$SIDESTEP" doctor >"$BED_DIR/found"
	cat "$BED_DIR/found"
	grep -x "failed sk-lookup-missing" "$BED_DIR/found"
	grep -x "warning programs-refused" "$BED_DIR/found"
	finding filtered "$(number bpf)" 16 "$SIDESTEP" doctor | grep -x "note tcx-missing"
}

@test "each finding that is not ok has a test" {
	local id
	for id in $(awk -F'|' 'NF > 5 && $4 ~ /note|warning|failed/ { gsub(/[` ]/, "", $2); print $2 }' "$BED_REPO/docs/DOCTOR.md"); do
		grep -qE "(warning |note |failed |\[|\")$id([]\")*]|$)" "$BED_REPO"/tests/*.bats ||
			fail "no test plants $id"
	done
}

@test "without rights for it doctor names what bridge mode and the agent lack" {
	finding setpriv --bounding-set=-all,+net_admin,+bpf --inh-caps=-all "$SIDESTEP" doctor --agent \
		--docker-socket "$BED_DIR/none" >"$BED_DIR/found"
	grep -x "failed sys-admin-missing" "$BED_DIR/found"
	grep -x "failed ptrace-missing" "$BED_DIR/found"
}

@test "the agent mounts a bpffs where that lasts, and names the command where it would not, as doctor does" {
	local pinned=/sys/fs/bpf/sidestep/agent
	bed_needs_linux 6.6 "TCX links"
	# Process 1 is in another mount namespace, as for a container.
	run bed_exec host unshare --mount sh -c 'umount /sys/fs/bpf; exec "$@"' - "$SIDESTEP" agent --pid 1
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"cannot pin maps in $pinned, which is not on a bpffs (mount -t bpf bpf /sys/fs/bpf, and for"* ]]
	bed_spawn host agent unshare --mount --pid --kill-child --mount-proc \
		sh -c 'umount /sys/fs/bpf; exec "$@"' - "$SIDESTEP" agent --pid 2
	bed_wait_line agent "info: mounted a bpffs at /sys/fs/bpf"
	bed_wait_line agent "programs loaded, pinned below $pinned"
	# Only on the machine's own network does doctor look for it. With --fix it mounts one, where that lasts.
	finding unshare --mount sh -c 'umount /sys/fs/bpf; exec "$@"' - "$SIDESTEP" doctor --fix |
		grep -x "warning bpffs-unmounted"
	finding unshare --mount --pid --fork --mount-proc sh -c 'umount /sys/fs/bpf; "$@"; "$@"' - "$SIDESTEP" doctor --fix |
		grep -cE "^(note bpffs-fixed)$" | grep -x 1
}
