#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `make install`: its folders, and the manual pages and completions that are made from the option tables.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

setup_file() {
	export BATS_TEST_TIMEOUT=200
	export DEST=$BATS_FILE_TMPDIR/dest
	bed_locked image make_it install
}

setup() {
	SHARE=$DEST/usr/local/share
}

# make_it TARGET [VARIABLE=VALUE...] - runs make as a user does.
make_it() {
	env -u MAKEFLAGS make -s -C "$BED_REPO" "DESTDIR=$DEST" "$@"
}

commands() {
	"$SIDESTEP" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'
}

# options COMMAND - prints its options with the dashes.
options() {
	"$SIDESTEP" help "$1" | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'
}

# completes WORD... - prints what bash offers for the last word of that command line.
completes() {
	bash -uc '
		. "$1"
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_sidestep
		printf "%s\n" "${COMPREPLY[@]}"' bash "$SHARE/bash-completion/completions/sidestep" "$@"
}

@test "install puts everything below DESTDIR and PREFIX, and uninstall removes it" {
	local command
	for command in $(commands); do
		[ -s "$SHARE/man/man8/sidestep-$command.8" ] || fail "no page of $command"
	done
	is version "$("$DEST/usr/local/bin/sidestep" version | head -n 1)" "$("$SIDESTEP" version | head -n 1)"
	is files "$(cd "$DEST" && find . -type f ! -path '*/doc/*' ! -name '*.8' | sort)" \
		"./usr/local/bin/sidestep
./usr/local/etc/default/sidestep-agent
./usr/local/lib/systemd/system/sidestep-agent.service
./usr/local/share/bash-completion/completions/sidestep
./usr/local/share/fish/vendor_completions.d/sidestep.fish
./usr/local/share/zsh/site-functions/_sidestep"
	DEST=$BATS_TEST_TMPDIR/other
	bed_locked image make_it install PREFIX=/opt/side sysconfdir=/etc mandir=/usr/man
	[ -x "$DEST/opt/side/bin/sidestep" ]
	[ -s "$DEST/usr/man/man8/sidestep.8" ]
	make_it uninstall PREFIX=/opt/side sysconfdir=/etc mandir=/usr/man
	is "what is left" "$(find "$DEST" ! -type d)" ""
}

@test "each option of each command stands in its manual page and in the completion of each shell" {
	local command option name
	for command in $(commands); do
		for option in $(options "$command"); do
			name=${option#--}
			grep -qF -- "\\fB\\-\\-${name//-/\\-}\\fR" "$SHARE/man/man8/sidestep-$command.8" ||
				fail "manual page: $command $option"
			grep -q -- "^	$command) words='.*${option}[ ']" "$SHARE/bash-completion/completions/sidestep" ||
				fail "bash: $command $option"
			sed -n "/^	$command)/,/;;/p" "$SHARE/zsh/site-functions/_sidestep" |
				grep -qE -- "'[*]?$option=?\\[" || fail "zsh: $command $option"
			grep -q -- "'__sidestep_command_is $command' -l $name " \
				"$SHARE/fish/vendor_completions.d/sidestep.fish" || fail "fish: $command $option"
		done
	done
	[ "$option" = --version ]
	[ "$command" = help ]
}

@test "bash completes commands, options, choices and files" {
	is commands "$(completes sidestep '')" "$(commands)"
	is "a command" "$(completes sidestep read)" ready
	is options "$(completes sidestep ready -)" "$(options ready)"
	is "the sidecar's option" "$(completes sidestep --gateway-p)" --gateway-protocol
	is choices "$(completes sidestep sidecar --udp '')" "deny
pass
drop"
	is "choices behind =" "$(completes sidestep --udp = d)" "deny
drop"
	is "choices with one dash" "$(completes sidestep -udp p)" pass
	is "the help's commands" "$(completes sidestep help stat)" status
	is "the first argument" "$(completes sidestep bypass '')" "list
add
del"
	is "options behind arguments" "$(completes sidestep bypass list --j)" --json
	is "a folder" "$(completes sidestep sidecar --ca-dir "$DEST/us")" "$DEST/usr"
	is "a number" "$(completes sidestep ready --wait '')" ""
}
