#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs, uses, upgrades and purges the package in the bare system where it runs, for deb.sh.
#
#   ./deb_inside.sh OLD.deb NEW.deb PEER
#
# Prints "ok" or "not ok" for each part. Status 1 when a part failed. There is no systemd here, so the agent runs
# by the documented command.
set -u

old=$1 new=$2 peer=$3 bad=0
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
cd "$(dirname "$0")" || exit 1

# part TITLE FUNCTION - runs it in a subshell that ends at the first failure.
part() {
	local status
	(set -e && "$2") >part.log 2>&1
	status=$?
	if [ "$status" = 0 ]; then
		printf 'ok %s\n' "$1"
		return
	fi
	printf 'not ok %s\n' "$1"
	sed 's/^/# /' part.log
	for log in gateway sidecar agent flood; do
		[ ! -e "$log.log" ] || tail -n 8 "$log.log" | sed "s/^/# $log: /"
	done
	bad=1
}

# until_true SECONDS COMMAND... - waits until the command succeeds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return
		sleep 0.05
	done
}

# run_in NAMESPACE NAME COMMAND... - starts it in that network namespace. Its output goes to NAME.log.
run_in() {
	local namespace=$1 name=$2
	shift 2
	setsid nsenter "--net=/run/netns/$namespace" -- "$@" >"$name.log" 2>&1 </dev/null &
	echo $! >"$name.pid"
	disown
}

says() {
	grep -q "$2" "$1.log"
}

# everything - lists the system's files, but for those that apt and dpkg keep.
everything() {
	find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /root -o -path /var/lib/dpkg \
		-o -path /var/lib/apt -o -path /var/cache -o -path /var/log \) -prune -o -print | sort
}

installs() {
	[ ! -e /run/systemd/system ]
	apt-get -qq -y install --no-install-recommends "./$old"
	[ -z "$(dpkg --verify sidestep)" ]
	[ "$(dpkg-query -W -f '${Status}' sidestep)" = "install ok installed" ]
	sidestep --version
	test -s /usr/share/man/man8/sidestep-agent.8.gz
	for page in $(sidestep help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
		zcat "/usr/share/man/man8/sidestep-$page.8.gz" | grep -q "^.SH OPTIONS"
	done
}

demonstrates() {
	sidestep demo
}

# serves - the agent steers for a sidecar that has NET_ADMIN alone.
serves() {
	ip netns add host
	ip netns add app
	ip -n app link add eth0 type veth peer name veth0 netns host
	ip -n host address add 172.31.0.1/24 dev veth0
	ip -n app address add 172.31.0.2/24 dev eth0
	ip -n host link set veth0 up
	ip -n app link set lo up
	ip -n app link set eth0 up
	ip -n app route add default via 172.31.0.1
	run_in host gateway sidestep gateway --listen 172.31.0.1:8080 --server --log
	run_in app sidecar setpriv --bounding-set=-all,+net_admin --inh-caps=-all \
		sidestep sidecar --gateway 172.31.0.1:8080
	nsenter --net=/run/netns/app -- sidestep ready --wait 20
	run_in host agent sidestep agent --pid "$(cat sidecar.pid)"
	until_true 20 says sidecar "in place of the nftables table"
}

connections() {
	grep -c '"destination":"192.0.2.77:80"' gateway.log
}

more_than() {
	[ "$(connections)" -gt "$1" ]
}

# upgrades - one connection stays open meanwhile, and new ones are opened all the time.
upgrades() {
	local version
	version=$(dpkg-deb -f "$new" Version)
	mkfifo go
	# shellcheck disable=SC2016 # for the inner shell
	run_in app held bash -c '
		exec 3<>/dev/tcp/192.0.2.77/7777
		printf before >&3 && head -c 6 <&3 && echo " echoed"
		read -r _ <go
		printf after >&3 && head -c 5 <&3 && echo " echoed"'
	until_true 10 says held "before echoed"
	run_in app flood "$peer" flood 192.0.2.77 80 --connections 2 --pause-us 1000 --until-file "$PWD/end" --timeout 90
	until_true 20 more_than 20
	apt-get -qq -y install --no-install-recommends "./$new"
	[ "$(dpkg-query -W -f '${Version}' sidestep)" = "$version" ]
	kill "$(cat agent.pid)"
	until_true 20 says agent "stopped; attached programs stay and work"
	until_true 20 more_than $(($(connections) + 20))
	run_in host agent sidestep agent --pid "$(cat sidecar.pid)"
	until_true 20 says agent "programs loaded"
	until_true 20 more_than $(($(connections) + 20))
	touch end
	echo >go
	until_true 10 says flood failed=
	cat flood.log
	says flood "failed=0"
	until_true 10 says held "after echoed"
}

# purges - the package's removal detaches the agent's programs, and nothing stays.
purges() {
	for name in agent sidecar gateway; do
		kill "$(cat "$name.pid")" || true
	done
	until_true 20 says agent "stopped; attached programs stay and work"
	[ -e /sys/fs/bpf/sidestep/agent ]
	echo '# changed' >>/etc/default/sidestep-agent
	apt-get -qq -y purge sidestep
	apt-get -qq -y autoremove --purge
	[ ! -e /sys/fs/bpf/sidestep/agent ]
	everything >after
	diff before after
	! dpkg-query -W sidestep
}

apt-get -qq update && apt-get -qq -y install --no-install-recommends iproute2 >/dev/null 2>&1
everything >before
part "the package installs with its dependencies, and its files are whole" installs
part "the demo shows the main job" demonstrates
part "the agent steers for a sidecar without rights" serves
part "an upgrade under load loses no connection" upgrades
part "purge leaves nothing" purges
exit $bad
