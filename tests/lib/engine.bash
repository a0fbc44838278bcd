# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A Docker engine that belongs to the test bed: part of testbed.bash.
#
# It runs in a network namespace `engine` and in a mount namespace. There /run, /etc/docker and /sys/fs/bpf are
# its own, so it meets no other engine and all its mounts end with it. A holder process keeps the mount
# namespace. `world` is the internet behind a veth (see bed_start).
#
#   ENGINE_SOCKET   the API's socket outside the namespace; inside (engine_exec) also /run/docker.sock
#   ENGINE          the engine's release: trixie, or empty for the machine's own
#   ENGINE_GATEWAY  the bridge's address, from --bip (172.17.0.1)

export ENGINE_BIP=172.17.0.1/16 ENGINE_SUBNET6=fd00:17::/64

_engine_holder() {
	cat "$BED_DIR/engine/holder"
}

_engine_path() {
	if [ -z "${ENGINE_PATH:-}" ]; then
		ENGINE_PATH=$("$BED_REPO/tests/deps.sh" "engine${ENGINE:+-$ENGINE}") || return
		export ENGINE_PATH
	fi
}

# engine_start [--bip CIDR] [DOCKERD-ARGUMENT...] - opens a bed with an engine and returns when its API answers,
# or fails. The default bridge is 172.17.0.1/16 and fd00:17::/64. iptables masquerades and publishes
# ports. On failure: status 1, and the engine's log on stderr.
engine_start() {
	if ! _bed_open; then
		return 1
	fi
	if ! _engine_build || ! _engine_launch "$@"; then
		[ ! -f "$BED_DIR/dockerd.log" ] || tail -n 30 "$BED_DIR/dockerd.log" >&2
		bed_stop
		return 1
	fi
}

# engine_start_in NAMESPACE [--bip CIDR] [DOCKERD-ARGUMENT...] - starts an engine in a namespace of an open bed, as
# one runs inside a container. bed_stop ends it. On failure: status 1, and the engine's log on stderr.
engine_start_in() {
	local namespace=$1
	shift
	if ! _engine_build "$namespace" || ! _engine_launch "$@"; then
		[ ! -f "$BED_DIR/dockerd.log" ] || tail -n 30 "$BED_DIR/dockerd.log" >&2
		return 1
	fi
}

# _engine_network [NAMESPACE] - gives the engine a namespace behind the world, or another name of this one.
_engine_network() {
	if [ -z "${1:-}" ]; then
		_bed_namespace engine && _bed_world engine
	else
		touch "$BED_DIR/ns/engine" && mount --bind "$BED_DIR/ns/$1" "$BED_DIR/ns/engine"
	fi
}

_engine_build() { # [NAMESPACE]
	_engine_path || return
	mkdir "$BED_DIR/engine" "$BED_DIR/engine/config" || return
	echo "{}" >"$BED_DIR/engine/daemon.json"
	# An unpacked engine has its plugins (buildx) there.
	printf '{"cliPluginsExtraDirs":["%s"]}\n' "${ENGINE_PATH%%:*}/../root/usr/libexec/docker/cli-plugins" \
		>"$BED_DIR/engine/config/config.json"
	ENGINE_SOCKET=$BED_DIR/engine/docker.sock
	export ENGINE_SOCKET
	# The engine writes /etc/docker/key.json and /opt/containerd, which stay in the bed.
	_engine_network "${1:-}" && _engine_hold "" etc opt
}

# _engine_hold ROOT NAME... - makes the mount namespace. Each /NAME is an overlay there, so that all changes stay in
# the bed. The files below ROOT/NAME appear in it, unless ROOT is empty.
_engine_hold() {
	# shellcheck disable=SC2016 # for the inner shell
	setsid nsenter --net="$BED_DIR/ns/engine" -- unshare --mount --propagation slave bash -c '
		set -e
		bed=$1 root=$2
		shift 2
		mount -t tmpfs -o mode=755 tmpfs /run
		mount --bind "$bed/bpffs" /sys/fs/bpf
		for name; do
			mkdir "$bed/engine/$name" "$bed/engine/$name.work"
			mount -t overlay overlay "/$name" -o \
				"lowerdir=${root:+$root/$name:}/$name,upperdir=$bed/engine/$name,workdir=$bed/engine/$name.work"
		done
		echo $$ >"$bed/engine/holder.new"
		mv "$bed/engine/holder.new" "$bed/engine/holder"
		exec -a "holder of $bed/engine" sleep infinity
	' bed "$BED_DIR" "$@" </dev/null >"$BED_DIR/holder.log" 2>&1 3>&- 4>&- &
	disown
	bed_until 5 test -s "$BED_DIR/engine/holder" ||
		bed_fail "no mount namespace for the engine: $(<"$BED_DIR/holder.log")"
}

# _engine_launch [--bip CIDR] [ARGUMENT...] - starts dockerd and waits for its API.
_engine_launch() {
	local bip=$ENGINE_BIP root=$BED_DIR/engine
	if [ "${1:-}" = --bip ]; then
		bip=$2
		shift 2
	fi
	export ENGINE_GATEWAY=${bip%/*}
	bed_spawn engine dockerd env "PATH=$ENGINE_PATH:$PATH" dockerd \
		--host "unix://$ENGINE_SOCKET" --host unix:///run/docker.sock \
		--config-file "$root/daemon.json" --data-root "$root/data" --exec-root "$root/exec" \
		--pidfile "$root/dockerd.pid" --cgroup-parent "/$BED_ID" \
		--exec-opt native.cgroupdriver=cgroupfs \
		--add-runtime "bed=$BED_REPO/tests/lib/runc.bash" --default-runtime bed --bip "$bip" \
		--ipv6 --fixed-cidr-v6 "$ENGINE_SUBNET6" "$@" || return
	# The log tells when to ask, because the docker command line costs more than the wait.
	bed_wait_line dockerd "API listen on $ENGINE_SOCKET" 30 >/dev/null &&
		bed_until 10 _engine_up
}

_engine_up() {
	dk version >/dev/null 2>&1
}

# engine_exec COMMAND... - runs it on the "machine" of the engine, in its network and mount namespaces.
engine_exec() {
	nsenter --net="$BED_DIR/ns/engine" "--mount=/proc/$(_engine_holder)/ns/mnt" "--wd=$PWD" -- "$@"
}

# dk ARGUMENT... - the docker command line, for the bed's engine only.
dk() {
	env -u DOCKER_CONTEXT -u DOCKER_TLS_VERIFY DOCKER_HOST="unix://$ENGINE_SOCKET" \
		DOCKER_CONFIG="$BED_DIR/engine/config" PATH="$ENGINE_PATH:$PATH" docker "$@"
}

# engine_restart [--bip CIDR] [DOCKERD-ARGUMENT...] - stops dockerd as an administrator does, which ends its
# containers, and starts it again on the same data. Images, containers and networks are kept.
engine_restart() {
	if ! _engine_quit; then
		return 1
	fi
	if ! _engine_launch "$@"; then
		tail -n 30 "$BED_DIR/dockerd.log" >&2
		return 1
	fi
}

# Sends SIGTERM and kills the containers' processes meanwhile, so that dockerd does not wait for them. (Before
# SIGTERM those with a restart policy would come back.)
_engine_quit() {
	bed_signal dockerd TERM
	bed_until 20 _engine_quit_step || bed_fail "dockerd survived SIGTERM"
}

_engine_quit_step() {
	_bed_kill_groups
	_bed_gone dockerd && ! _bed_processes | grep -q containerd
}

# engine_image NAME [--change INSTRUCTION]... FILE[:PATH]... - makes an image of these files alone. PATH is
# /bin/ and the file's name by default. Libraries and the loader of dynamic binaries are added. INSTRUCTION is a
# line of a Dockerfile: ENTRYPOINT, CMD, LABEL, ENV, EXPOSE.
# Status 1 when a file is missing or the engine refuses.
engine_image() {
	local name=$1 changes=() root file path
	shift
	while [ "${1:-}" = --change ]; do
		changes+=(--change "$2")
		shift 2
	done
	root=$(mktemp -d "$BED_DIR/image-XXXXXX") || return
	chmod 755 "$root"
	mkdir -m 755 "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev"
	chmod 1777 "$root/tmp"
	for file; do
		path=/bin/${file##*/}
		if [[ $file == *:* ]]; then
			path=${file#*:} file=${file%%:*}
		fi
		_engine_image_file "$root" "$file" "$path" || return
	done
	tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$root.tar" . || return
	dk import "${changes[@]}" "$root.tar" "$name" >/dev/null ||
		bed_fail "could not import the image $name" || return
	rm -rf "$root" "$root.tar"
}

_engine_image_file() {
	local root=$1 file=$2 path=$3 library
	[ -f "$file" ] || bed_fail "no file $file for the image" || return
	install -D -m "$(stat -Lc %a "$file")" "$file" "$root$path" || return
	# ldd prints "lib => /path (0x..)", for the loader "/path (0x..)", and nothing of a static binary.
	for library in $(ldd "$file" 2>/dev/null | grep -oE '/[^ ]+ \(0x' | cut -d' ' -f1); do
		[ -e "$root$library" ] || install -D -m 755 "$library" "$root$library" || return
	done
}

# engine_address CONTAINER [NETWORK=bridge] - prints its IPv4 address. engine_address6: its IPv6 one.
engine_address() {
	dk inspect -f "{{(index .NetworkSettings.Networks \"${2:-bridge}\").IPAddress}}" "$1"
}

engine_address6() {
	dk inspect -f "{{(index .NetworkSettings.Networks \"${2:-bridge}\").GlobalIPv6Address}}" "$1"
}

# engine_port CONTAINER PORT/tcp - prints the published port's number.
engine_port() {
	dk port "$1" "$2" | sed -n '1s/.*://p'
}

# engine_pid CONTAINER - prints the number of its first process, valid on the machine.
engine_pid() {
	dk inspect -f '{{.State.Pid}}' "$1"
}

# engine_wait_line CONTAINER PATTERN [SECONDS=5] - like bed_wait_line, for a container's log.
engine_wait_line() {
	_bed_until $((${3:-5} * BED_PATIENCE)) _engine_line_or_end "$1" "$2" || true
	dk logs "$1" 2>&1 | grep -E -m1 -e "$2" && return
	bed_fail "no line '$2' from container '$1':" || true
	dk logs --tail 20 "$1" >&2
	return 1
}

_engine_line_or_end() {
	dk logs "$1" 2>&1 | grep -qE -e "$2" ||
		[ "$(dk inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = false ]
}

# engine_caps CAPABILITY... - prints the arguments of `dk run` that grant capabilities such as BPF and PERFMON.
# They are "--cap-add BPF ...", or "--env BED_CAPS=BPF,..." where the engine is too old to name them (runc.bash).
# Use it unquoted: dk run $(engine_caps BPF PERFMON) --cap-add NET_ADMIN ...
engine_caps() {
	local version list
	version=$(dk version -f '{{.Server.Version}}') || return
	if [ "${version%%.*}" -ge 23 ]; then
		printf -- '--cap-add %s ' "$@"
	else
		list=$(printf '%s,' "$@")
		printf -- '--env BED_CAPS=%s\n' "${list%,}"
	fi
}

# engine_state - prints rules, routes, links and packet filters of the engine's machine, without counters and
# times. The first filter on a bridge of Docker's gives it a length of the queue that it does not have
# (qdisc_create, net/sched/sch_api.c).
engine_state() {
	engine_exec sh -c '
		ip rule; ip -6 rule
		ip route show table all; ip -6 route show table all
		ip -o link | cut -d" " -f2-
		iptables-save; ip6tables-save; nft list ruleset' 2>&1 |
		sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]//; s/ expires [0-9]+sec//; s/packets [0-9]+ bytes [0-9]+//; s/( qlen [0-9]+)? *\\/\\/'
}

# engine_bridge_nf 0|1 - sets net.bridge.bridge-nf-call-{ip,ip6}tables in the engine's namespace only.
engine_bridge_nf() {
	engine_exec sh -c "
		echo $1 >/proc/sys/net/bridge/bridge-nf-call-iptables &&
		echo $1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables"
}
