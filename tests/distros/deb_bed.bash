# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A namespace "app" with a sidecar, and a namespace "host" with the gateway, for deb_inside.sh and deb_service.sh.
# $peer is the traffic generator, and $bad becomes 1 when a part fails.
: "${peer:?}" "${bad:?}"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

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
	# shellcheck disable=SC2034 # the script ends with it
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

# make_world - lets "app" reach "host", which exists, and starts the gateway and a sidecar that has NET_ADMIN alone.
make_world() {
	ip netns add app
	ip -n app link add eth0 type veth peer name veth0 netns host
	ip -n host address add 172.31.0.1/24 dev veth0
	ip -n app address add 172.31.0.2/24 dev eth0
	ip -n host link set lo up
	ip -n host link set veth0 up
	ip -n app link set lo up
	ip -n app link set eth0 up
	ip -n app route add default via 172.31.0.1
	run_in host gateway sidestep gateway --listen 172.31.0.1:8080 --server --log
	run_in app sidecar setpriv --bounding-set=-all,+net_admin --inh-caps=-all \
		sidestep sidecar --gateway 172.31.0.1:8080
	nsenter --net=/run/netns/app -- sidestep ready --wait 20
}

connections() {
	grep -c '"destination":"192.0.2.77:80"' gateway.log
}

more_than() {
	[ "$(connections)" -gt "$1" ]
}

# load_begins - opens one connection that stays, and then new ones all the time.
load_begins() {
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
}

# load_ends - fails if a connection was lost.
load_ends() {
	until_true 20 more_than $(($(connections) + 20))
	touch end
	echo >go
	until_true 10 says flood failed=
	cat flood.log
	says flood "failed=0"
	until_true 10 says held "after echoed"
	rm go end
}

# upgrade NEW.deb - installs it.
upgrade() {
	apt-get -qq -y install --no-install-recommends "./$1"
	[ "$(dpkg-query -W -f '${Version}' sidestep)" = "$(dpkg-deb -f "$1" Version)" ]
}

# nothing_left - purges the package. The list "before" has the files that were there.
nothing_left() {
	echo '# changed' >>/etc/default/sidestep-agent
	apt-get -qq -y purge sidestep
	apt-get -qq -y autoremove --purge
	[ ! -e /sys/fs/bpf/sidestep/agent ]
	everything >after
	diff before after
	[ -z "$(dpkg-query -W sidestep 2>/dev/null)" ]
}
