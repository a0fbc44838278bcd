# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A Podman that belongs to the test bed, with the rights of root. A bats file sources it behind testbed.bash.
#
# It runs in the engine's network and mount namespaces (tests/lib/engine.bash). Debian's packages are unpacked, and
# an overlay shows them below /etc and /usr there. dk() is its command line, which understands Docker's. So the
# functions of engine.bash that call dk() work on it. There is no systemd, so nothing runs health checks.
#
#   PODMAN_SOCKET   its API, as Docker has one

export PODMAN_SOCKET=/run/podman.sock

# podman_start - opens a bed with Podman and returns when its API answers.
podman_start() {
	if ! _bed_open; then
		return 1
	fi
	if ! _podman_build; then
		[ ! -f "$BED_DIR/api.log" ] || tail -n 30 "$BED_DIR/api.log" >&2
		bed_stop
		return 1
	fi
}

_podman_build() {
	local root
	root=$("$BED_REPO/tests/deps.sh" podman) || return
	mkdir "$BED_DIR/engine" || return
	# A process of the bed may not raise the limits that Podman would set.
	cat >"$BED_DIR/engine/containers.conf" <<-SETTINGS
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "runc"
	SETTINGS
	_engine_network && _engine_hold "$root" etc usr || return
	export CONTAINERS_CONF=$BED_DIR/engine/containers.conf
	bed_spawn engine api podman "--root=$BED_DIR/engine/data" --runroot=/run/podman \
		system service --time 0 "unix://$PODMAN_SOCKET" || return
	bed_until 10 _podman_answers
}

_podman_answers() {
	engine_exec curl -sf --unix-socket "$PODMAN_SOCKET" http://podman/_ping >/dev/null
}

dk() {
	local command=$1
	shift
	# The bed ends by the control group.
	[ "$command" != run ] || set -- "--cgroup-parent=/$BED_ID" --no-healthcheck "$@"
	engine_exec podman "--root=$BED_DIR/engine/data" --runroot=/run/podman "$command" "$@"
}
