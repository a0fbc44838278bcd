#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs, starts, upgrades and purges the agent's service in a bare system that systemd has booted, for deb.sh.
#
#   ./deb_service.sh OLD.deb NEW.deb PEER
#
# Prints "ok" or "not ok" for each part. Status 1 when a part failed.
set -u

old=$1 new=$2 peer=$3 bad=0
cd "$(dirname "$0")" || exit 1
# shellcheck source=tests/distros/deb_bed.bash
. ./deb_bed.bash

# agent_said TEXT - prints how often the agent has logged it.
agent_said() {
	journalctl --unit sidestep-agent --output cat | tee agent.log | grep -cE "$1"
}

# agent_says TEXT TIMES - whether the agent has logged it so often.
agent_says() {
	[ "$(agent_said "$1")" = "$2" ]
}

# state - prints the service's.
state() {
	systemctl show --property ActiveState --value sidestep-agent
}

installs() {
	apt-get -qq -y install --no-install-recommends "./$old"
	[ "$(systemctl is-enabled sidestep-agent)" = disabled ]
	[ "$(state)" = inactive ]
}

# serves - the service has all that the agent needs, and tells when it is ready.
serves() {
	ip netns attach host $$
	make_world
	echo "SIDESTEP_AGENT_OPTIONS='--pid $(cat sidecar.pid) --metrics-listen unix:/run/sidestep-agent/metrics.sock'" \
		>/etc/default/sidestep-agent
	systemctl enable --now sidestep-agent
	until_true 20 says sidecar "in place of the nftables table"
	[ -S /run/sidestep-agent/metrics.sock ]
	[ -S /run/sidestep/agent.events ]
	until_true 5 agent_says "programs loaded" 1
	agent_says "error|cannot|the sandbox" 0
}

# watches - the watcher of Docker starts too, and gives up its rights.
watches() {
	sed -i "s/='/='--docker-socket \/run\/none.sock /" /etc/default/sidestep-agent
	sed -i 's/--pid [0-9]* //' /etc/default/sidestep-agent
	systemctl restart sidestep-agent
	until_true 20 agent_says "no connection to Docker" 1
	agent_says "cannot (make|give up|set|end|start)|the sandbox" 0
	[ "$(state)" = active ]
	sed -i "s/--docker-socket [^ ]*/--pid $(cat sidecar.pid)/" /etc/default/sidestep-agent
	systemctl restart sidestep-agent
}

# upgrades - the package's script starts the running agent again.
upgrades() {
	local before
	before=$(agent_said "programs loaded")
	load_begins
	upgrade "$new"
	until_true 20 agent_says "programs loaded" $((before + 1))
	load_ends
	[ "$(state)" = active ]
}

purges() {
	kill "$(cat sidecar.pid)" "$(cat gateway.pid)"
	nothing_left
	[ "$(state)" = inactive ]
}

everything >before
part "systemd: the package installs, and starts nothing" installs
part "systemd: the service steers for a sidecar without rights" serves
part "systemd: the service's watcher of Docker gives up its rights" watches
part "systemd: an upgrade under load starts the agent again, and loses no connection" upgrades
part "purge under systemd leaves nothing" purges
exit $bad
