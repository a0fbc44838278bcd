# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Makes the bare Debian systems of check.sh and deb.sh. tests/lib/apt.sh was read.

# make_base FOLDER SUITE - makes FOLDER/SUITE.base, debootstrap's smallest system with this machine's sources.
make_base() {
	local suite=$2 base=$1/$2.base script=$2 mirror component
	[ ! -d "$base" ] || return 0
	if ! read -r _ mirror _ component < <(apt_sources "$suite" | grep " $suite "); then
		printf 'this machine has no package source of its own release\n'
		return 1
	fi
	# An older debootstrap does not know the newest suite's name, but its rolling one.
	[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
	rm -rf "$base.new"
	debootstrap --variant=minbase "--keyring=$(apt_keyring)" "--components=${component// /,}" "$suite" \
		"$base.new" "$mirror" "/usr/share/debootstrap/scripts/$script" || return
	apt_sources "$suite" >"$base.new/etc/apt/sources.list"
	apt-config dump | grep -E '^Acquire::(Check-|https?::|Retries)' >"$base.new/etc/apt/apt.conf.d/00machine"
	mv "$base.new" "$base"
}
