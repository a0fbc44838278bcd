#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the commands of README.md in bare Debian systems, each in a folder of its own.
#
#   tests/distros/check.sh [SUITE...]   default: bookworm trixie forky
#
# $PART says what runs there:
#   all        README's commands as written, in a new system (the default)
#   check      only those up to and with `make check`;  demo: the same with `make demo`
#   FILE...    tests/run.sh with these files, in the system of the last run: unit programs below
#              build/tests, .bats files and tests/lint.sh. "units": all unit programs
#
# The committed tree is tested. Packages come from this machine's own sources, npm's from its registry.
# A system runs in its own mount and process namespaces, which end with this script. Below $BUILD/distros,
# SUITE.base is the system as debootstrap makes it, SUITE the one in use, and SUITE.log what was printed.
# The last line is: N passed, N failed, N skipped.
set -u

limit=${LIMIT:-7200} # seconds for one system
cd "$(dirname "$0")/../.." || exit 1
repo=$PWD folder=$(realpath -m "${BUILD:-build}/distros") part=${PART:-all}
passed=0 failed=0 skipped=0

# shellcheck source=tests/lib/apt.sh
. tests/lib/apt.sh

# make_base SUITE - debootstrap's minimal system in $folder/SUITE.base, with this machine's sources.
make_base() {
	local suite=$1 base=$folder/$1.base script=$1 mirror component
	[ ! -d "$base" ] || return 0
	if ! read -r _ mirror _ component < <(apt_sources "$suite" | grep " $suite "); then
		printf 'this machine has no package source of its own release\n'
		return 1
	fi
	# A debootstrap older than the suite knows it by its rolling name.
	[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
	rm -rf "$base.new"
	debootstrap --variant=minbase "--keyring=$(apt_keyring)" "--components=${component// /,}" "$suite" \
		"$base.new" "$mirror" "/usr/share/debootstrap/scripts/$script" || return
	apt_sources "$suite" >"$base.new/etc/apt/sources.list"
	apt-config dump | grep -E '^Acquire::(Check-|https?::|Retries)' >"$base.new/etc/apt/apt.conf.d/00machine"
	mv "$base.new" "$base"
}

# make_root SUITE - the system in use, with the committed tree in /root/sidestep.
make_root() {
	local base=$folder/$1.base root=$folder/$1
	if [[ ! -d $root || $part =~ ^(all|check|demo)$ ]]; then
		rm -rf --one-file-system "$root.new" "$root" &&
			cp -a --reflink=auto "$base" "$root.new" &&
			git clone --quiet --no-local . "$root.new/root/sidestep" && mv "$root.new" "$root" || return
	else
		git bundle create --quiet "$root/root/head.bundle" HEAD &&
			git -C "$root/root/sidestep" fetch --quiet ../head.bundle HEAD &&
			git -C "$root/root/sidestep" reset --quiet --hard FETCH_HEAD || return
	fi
	# Names and certificates are the machine's.
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	cp -L /etc/hosts "$root/etc/hosts"
	if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
		mkdir -p "$root/etc/ssl/certs"
		cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/machine.crt"
	fi
}

# commands - prints what is to be run in /root/sidestep, one command a line.
commands() {
	case $part in
	all) readme_commands 'apt-get|make (demo|check)' ;;
	check | demo) readme_commands "apt-get|make $part" ;;
	*)
		readme_commands apt-get
		echo "make deps"
		echo "make all build/peer units"
		# shellcheck disable=SC2016 # for the shell in the system
		echo "tests/run.sh ${part/#units/'$(basename -as .c tests/unit/test_*.c | sed s,^,build/tests/,)'}"
		;;
	esac
}

# readme_commands PATTERN - prints README's commands that match, without sudo, as root runs them.
readme_commands() {
	sed -nE "s/^ *sudo (($1)( [^#]*)?)(#.*)?\$/\\1/p" README.md
}

# run_in ROOT - runs the commands; the first process of the namespace is the one that is killed.
run_in() {
	local registry cafile
	registry=$(npm config get registry 2>/dev/null) && [ -n "$registry" ] ||
		registry=
	[ ! -e "$1/etc/ssl/machine.crt" ] || cafile=/etc/ssl/machine.crt
	commands | setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child -- \
		env -i "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LC_ALL=C.UTF-8 \
		${registry:+"npm_config_registry=$registry"} ${cafile:+"npm_config_cafile=$cafile"} \
		${CI:+"CI=$CI"} "$repo/tests/distros/inside.sh" "$1" "$limit"
}

# count LOG STATUS - adds the last line of tests/run.sh, the demo, and what ended before either.
count() {
	local line found=
	while read -r line; do
		if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
			passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
			skipped=$((skipped + BASH_REMATCH[3]))
			[ "${BASH_REMATCH[2]}" = 0 ] || found=1
		elif [[ $line =~ ^([0-9]+)\ of\ ([0-9]+)\ rows\ as\ expected ]]; then
			passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2] - BASH_REMATCH[1]))
			[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] || found=1
		fi
	done <"$1"
	[ "$2" = 0 ] || [ -n "$found" ] || failed=$((failed + 1))
}

[ "$(id -u)" = 0 ] || {
	echo "check-distros: needs root: sudo make check-distros" >&2
	exit 1
}
tests/deps.sh distros || exit 1
mkdir -p "$folder"
[ $# -gt 0 ] || set -- bookworm trixie forky
for suite; do
	log=$folder/$suite.log
	printf '# %s\n' "$suite"
	if { make_base "$suite" && make_root "$suite"; } >"$log" 2>&1; then
		run_in "$folder/$suite" 2>&1 | tee -a "$log"
		count "$log" "${PIPESTATUS[0]}"
	else
		tail -n 20 "$log"
		printf 'FAILED  %s: no system\n' "$suite"
		failed=$((failed + 1))
	fi
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
