#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the commands of README.md in bare Debian systems, each in a folder of its own.
#
#   tests/distros/check.sh [SUITE...]   default: bookworm trixie forky
#
# $PART chooses the commands:
#   all          README's commands as written, in a new system (the default)
#   demo, check  in a new system only README's command of that name, and the one before both
#   units        all unit tests, in the system of the last run
#   FILE...      tests/run.sh with these files, in the system of the last run
#
# The committed tree is tested. Packages come from this machine's sources, and npm's from its registry. Each
# system runs in mount and process namespaces that end with this script. Below $BUILD/distros, SUITE.base is the
# system as debootstrap makes it, SUITE is the one in use, and SUITE.log has the output.
# The last line is: N passed, N failed, N skipped.
set -u

limit=${LIMIT:-7200} # seconds for one system
cd "$(dirname "$0")/../.." || exit 1
repo=$PWD folder=$(realpath -m "${BUILD:-build}/distros") part=${PART:-all}
passed=0 failed=0 skipped=0 child=

# shellcheck source=tests/lib/apt.sh
. tests/lib/apt.sh
# shellcheck source=tests/distros/base.bash
. tests/distros/base.bash

# make_root SUITE - makes or updates $folder/SUITE, with the committed tree in /root/sidestep.
make_root() {
	local root=$folder/$1
	if [[ $part =~ ^(all|check|demo)$ || ! -d $root ]]; then
		rm -rf "$root.new" "$root"
		cp -a --reflink=auto "$root.base" "$root.new" &&
			git clone --quiet --no-local . "$root.new/root/sidestep" && mv "$root.new" "$root" || return
	else
		git bundle create --quiet "$root/root/head.bundle" HEAD &&
			git -C "$root/root/sidestep" fetch --quiet ../head.bundle HEAD &&
			git -C "$root/root/sidestep" reset --quiet --hard FETCH_HEAD || return
		# A test bed that a killed run left here names processes of another namespace.
		find "$root/tmp" -mindepth 1 -delete
	fi
	# Names and certificates are the machine's.
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	[ ! -e /etc/ssl/certs/ca-certificates.crt ] ||
		install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/machine.crt"
	chroot "$root" apt-get -qq update
}

# commands - prints the commands to run in /root/sidestep, one a line.
commands() {
	# shellcheck disable=SC2016 # for the shell in the system
	local units='$(ls build/{,sanitize/}tests/test_* | grep -v "[.]d$")'
	case $part in
	all) readme_commands 'apt-get|make (demo|check)' ;;
	check | demo) readme_commands "apt-get|make $part" ;;
	*)
		readme_commands apt-get
		echo "make deps"
		echo "make all build/peer units"
		[ "$part" != units ] || echo "make SANITIZE=1 units"
		echo "tests/run.sh ${part/#units/$units}"
		;;
	esac
}

# readme_commands PATTERN - prints README's commands that match, without sudo, as root runs them.
readme_commands() {
	sed -nE "s/^ *sudo (($1)( [^#]*)?)(#.*)?\$/\\1/p" README.md
}

# run_in ROOT - runs the commands there, and returns the status of the one that failed.
run_in() {
	local registry cafile=
	registry=$(npm config get registry 2>/dev/null) || registry=
	[ ! -e "$1/etc/ssl/machine.crt" ] || cafile=/etc/ssl/machine.crt
	# Everything ends when unshare does, and that when this script does.
	setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child -- \
		env -i "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LC_ALL=C.UTF-8 \
		${registry:+"npm_config_registry=$registry"} ${cafile:+"npm_config_cafile=$cafile"} \
		${CI:+"CI=$CI"} "$repo/tests/distros/inside.sh" "$1" "$limit" < <(commands) &
	child=$!
	wait "$child"
}

# count LOG STATUS - adds the totals of tests/run.sh and of the demo. A STATUS that they do not explain is one
# more failure.
count() {
	local line explained=
	while read -r line; do
		if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
			passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
			skipped=$((skipped + BASH_REMATCH[3]))
			[ "${BASH_REMATCH[2]}" = 0 ] || explained=1
		elif [[ $line =~ ^([0-9]+)\ of\ ([0-9]+)\ rows\ as\ expected ]]; then
			passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2] - BASH_REMATCH[1]))
			[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] || explained=1
		fi
	done <"$1"
	[ "$2" = 0 ] || [ -n "$explained" ] || failed=$((failed + 1))
}

if [ "$(id -u)" != 0 ]; then
	echo "check-distros needs root: sudo make check-distros" >&2
	exit 1
fi
tests/deps.sh distros || exit 1
mkdir -p "$folder"
trap '[ -z "$child" ] || kill -KILL "$child" 2>/dev/null' EXIT
trap 'exit 130' INT TERM
[ $# -gt 0 ] || set -- bookworm trixie forky
for suite; do
	log=$folder/$suite.log started=$SECONDS
	printf '# %s\n' "$suite"
	exec 4>"$folder/$suite.lock"
	if ! flock --nonblock 4; then
		printf 'FAILED  %s: another check-distros uses it\n' "$suite"
		failed=$((failed + 1))
		continue
	fi
	if { make_base "$folder" "$suite" && make_root "$suite"; } >"$log" 2>&1; then
		exec 3> >(tee -a "$log")
		tee=$!
		run_in "$folder/$suite" >&3 2>&1
		status=$? child=
		exec 3>&-
		wait "$tee"
		count "$log" "$status"
	else
		tail -n 20 "$log"
		printf 'FAILED  %s: no system\n' "$suite"
		failed=$((failed + 1))
	fi
	printf '# %s: %d s\n' "$suite" $((SECONDS - started))
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
