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
cd "$(dirname "$0")" || exit 1
# shellcheck source=tests/distros/deb_bed.bash
. ./deb_bed.bash

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

# serves - the agent steers for a sidecar without rights.
serves() {
	ip netns add host
	make_world
	run_in host agent sidestep agent --pid "$(cat sidecar.pid)"
	until_true 20 says sidecar "in place of the nftables table"
}

upgrades() {
	load_begins
	upgrade "$new"
	kill "$(cat agent.pid)"
	until_true 20 says agent "stopped; attached programs stay and work"
	until_true 20 more_than $(($(connections) + 20))
	run_in host agent sidestep agent --pid "$(cat sidecar.pid)"
	until_true 20 says agent "programs loaded"
	load_ends
}

# purges - the package's removal detaches the agent's programs, and nothing stays.
purges() {
	for name in agent sidecar gateway; do
		kill "$(cat "$name.pid")" || true
	done
	until_true 20 says agent "stopped; attached programs stay and work"
	[ -e /sys/fs/bpf/sidestep/agent ]
	nothing_left
}

apt-get -qq update && apt-get -qq -y install --no-install-recommends iproute2 >/dev/null 2>&1
everything >before
part "the package installs with its dependencies, and its files are whole" installs
part "the demo shows the main job" demonstrates
part "the agent steers for a sidecar without rights" serves
part "an upgrade under load loses no connection" upgrades
part "purge leaves nothing" purges
exit $bad
