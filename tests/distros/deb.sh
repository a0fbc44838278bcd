#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks the Debian package: with Debian's own tools, and in bare Debian systems, without systemd (deb_inside.sh) and
# with it (deb_service.sh).
#
#   tests/distros/deb.sh [SUITE...]   default: bookworm trixie
#
# `make check-deb` has built both packages and the image. Packages come from this machine's sources. Below $BUILD/distros,
# SUITE.base is the system as debootstrap makes it, and SUITE.deb the one in use.
# The last line is: N passed, N failed, N skipped.
set -u

cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build}"
folder=$(realpath -m "$BUILD/distros") passed=0 failed=0 child=
native=$(dpkg --print-architecture) other=arm64
[ "$native" = amd64 ] || other=amd64
package=$BUILD/deb/sidestep_$(cat VERSION)_$native.deb
# Unit tests that need no kernel but files and sockets. An emulator does not know what the others ask for.
other_tests="address bypass_origin capture_flows control_request decide dial docker_json docker_names event_batch events
	first_speaker gateway har hints hostname log loop metrics options otlp plan plan_lists policy report_scrub
	search_list tls_authority tls_handshake tls_relay tunnel"

# shellcheck source=tests/lib/apt.sh
. tests/lib/apt.sh
# shellcheck source=tests/distros/base.bash
. tests/distros/base.bash

# judge TITLE COMMAND... - counts it, and prints its output if it fails.
judge() {
	local title=$1 text
	shift
	if text=$("$@" 2>&1); then
		printf 'ok %s\n' "$title"
		passed=$((passed + 1))
	else
		printf 'not ok %s\n%s\n' "$title" "$(sed 's/^/# /' <<<"$text")"
		failed=$((failed + 1))
	fi
}

clean_for_lintian() {
	local found
	found=$(lintian --allow-root --fail-on none --display-level '>=info' "$@") && [ -z "$found" ] || {
		printf '%s\n' "$found"
		return 1
	}
}

# pages_clean - groff and mandoc have nothing to say about the manual pages.
pages_clean() {
	local page found=
	for page in "$BUILD"/share/man/man8/*.8; do
		found+=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
		found+=$(mandoc -Tlint "$page")
	done
	printf '%s\n' "$found"
	[ -z "$found" ]
}

# completions_work - zsh and fish complete commands, options and choices.
completions_work() {
	local zsh fish
	zsh=$(zsh -f tests/distros/complete.zsh "$BUILD/share/zsh/site-functions" \
		"sidestep rea" "sidestep ready --w" "sidestep help stat" "sidestep sidecar --udp p" "sidestep --gateway-p" \
		"sidestep bypass l" "sidestep bypass list --j") || return
	fish=$(fish -c "source $BUILD/share/fish/vendor_completions.d/sidestep.fish
		for line in 'sidestep rea' 'sidestep ready --w' 'sidestep help stat' 'sidestep sidecar --udp p' 'sidestep --gateway-p' \
			'sidestep bypass l' 'sidestep bypass list --j'
			complete -C \$line | string replace -r '\t.*' ''
		end") || return
	printf 'zsh:\n%s\nfish:\n%s\n' "$zsh" "$fish"
	[ "$zsh" = "sidestep ready
sidestep ready --wait=
sidestep help status
sidestep sidecar --udp pass
sidestep --gateway-protocol=
sidestep bypass list
sidestep bypass list --json" ] && [ "$fish" = "ready
--wait
status
pass
--gateway-protocol
list
--json" ]
}

# secure - systemd's judgement of the agent's service is at most 3.0.
secure() {
	local root=$BUILD/deb/root/lib/systemd/system
	systemd-analyze security --offline=yes --threshold=30 "$root/sidestep-agent.service"
}

# reproducible - a build of the committed tree in another folder gives the same programs, packages and image. Its time
# zone and the rights of its files differ, and nothing comes out of a cache.
reproducible() {
	local again=$folder/again file
	[ -z "$(git status --porcelain)" ] || {
		echo "the tree has changes, which a clone does not have"
		return 1
	}
	rm -rf "$again"
	(umask 077 && git clone -q --no-local . "$again" && mkdir "$again/build" &&
		cp -a --reflink=auto "build/sysroot-$other" "$again/build" && cd "$again" && unset BUILD &&
		export TZ=Asia/Tokyo CCACHE_DISABLE=1 && make -s -j"$(nproc)" all build/share/written && make -s deb image &&
		make -s deb "DEB_ARCH=$other") 2>/dev/null || return
	for file in sidestep "deb/${package##*/}" image/sidestep.tar "$other/sidestep" \
		"$other/deb/sidestep_$(cat VERSION)_$other.deb"; do
		cmp "$BUILD/$file" "$again/build/$file" || return
	done
}

# emulated PROGRAM [ARGUMENT...] - runs a program of the other architecture, in a network of its own.
emulated() {
	# shellcheck disable=SC2016 # for the inner shell
	unshare --net -- sh -c 'ip link set lo up && exec "$@"' sh \
		"$(tests/deps.sh "emulator-$other")" -U LD_LIBRARY_PATH -L "build/sysroot-$other" "$@"
}

# other_runs - the program of the other architecture's package prints what the native one does.
other_runs() {
	local program=$BUILD/$other/deb/root/usr/bin/sidestep command
	[[ $(emulated "$program" --version) == "sidestep $(cat VERSION)"* ]] || return
	for command in $("$BUILD/sidestep" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
		cmp <("$BUILD/sidestep" help "$command") <(emulated "$program" help "$command") || return
	done
	[ "$command" = help ]
}

# other_generates - its manual pages and completions are those that it has from the native build.
other_generates() {
	local share=$folder/share.$other
	image/make.sh "$other" "build/$other/generate" || return
	rm -rf "$share"
	mkdir -p "$share"/man/man8 "$share"/bash-completion/completions "$share"/zsh/site-functions \
		"$share"/fish/vendor_completions.d
	emulated "build/$other/generate" "$share" "$(date -u -d "@$(git log -1 --format=%ct)" +%F)" &&
		diff -r --exclude=written "$BUILD/share" "$share"
}

# other_passes - it passes unit tests.
other_passes() {
	local test
	# shellcheck disable=SC2046,SC2086 # lists of words
	image/make.sh "$other" -j"$(nproc)" $(printf "build/$other/tests/test_%s " $other_tests) || return
	for test in $other_tests; do
		emulated "build/$other/tests/test_$test" || return
	done
}

# make_root SUITE - makes $folder/SUITE.deb with the packages.
make_root() {
	local root=$folder/$1.deb
	rm -rf "$root"
	mkdir -p "$root" && cp -a --reflink=auto "$folder/$1.base/." "$root" && mkdir "$root/root/sidestep" &&
		cp "$package" "$BUILD/deb-next"/*.deb "$BUILD/peer" tests/distros/deb_inside.sh tests/distros/deb_service.sh \
			tests/distros/deb_bed.bash "$root/root/sidestep" &&
		cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# run_inside SUITE COMMAND - runs it there. Everything ends when unshare does, and that when this script does.
run_inside() {
	setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child -- \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		tests/distros/inside.sh "$folder/$1.deb" 600 <<<"$2" &
	child=$!
	wait "$child"
}

# boot SUITE COMMAND - boots the system's systemd, which runs the command as a service and ends with it. systemd gets a
# control group, a network and settings of its own.
boot() {
	local root=$folder/$1.deb group status
	group=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/sidestep-deb-$$
	cat >"$root/etc/systemd/system/deb-test.service" <<-UNIT
		[Unit]
		SuccessAction=exit
		FailureAction=exit
		[Service]
		Type=oneshot
		TimeoutStartSec=300
		WorkingDirectory=/root/sidestep
		ExecStart=/root/sidestep/$2
		StandardOutput=file:/root/sidestep/service.log
	UNIT
	mkdir "$group" || return
	(
		echo "$BASHPID" >"$group/cgroup.procs" &&
			exec setpriv --pdeathsig KILL -- unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child -- \
				tests/distros/boot.sh "$root" deb-test.service
	) </dev/null &
	child=$!
	wait "$child"
	status=$?
	find "$group" -depth -type d -exec rmdir {} +
	cat "$root/root/sidestep/service.log"
	return "$status"
}

if [ "$(id -u)" != 0 ]; then
	echo "check-deb needs root: sudo make check-deb" >&2
	exit 1
fi
mkdir -p "$folder"
trap '[ -z "$child" ] || kill -KILL "$child" 2>/dev/null' EXIT
trap 'exit 130' INT TERM
DEB_OUT=$BUILD/deb-next DEB_VERSION=$(cat VERSION)+next make -s deb-tree >/dev/null || exit 1
judge "lintian has nothing to say about any of the packages" clean_for_lintian "$BUILD"/deb/*.deb "$BUILD"/*/deb/*.deb
judge "groff and mandoc have nothing to say about the manual pages" pages_clean
judge "zsh and fish complete commands, options and choices" completions_work
judge "the agent's service is as closed as systemd can tell" secure
judge "the Kubernetes manifests fit the types of the API" /usr/bin/python3 tests/distros/manifests.py deploy/kubernetes.yaml
judge "the $other package's program runs under emulation, and explains each command" other_runs
judge "the $other build generates the same manual pages and completions" other_generates
judge "the $other build passes unit tests" other_passes
judge "a second build gives the same programs, packages and image" reproducible
[ $# -gt 0 ] || set -- bookworm trixie
for suite; do
	log=$folder/$suite.deb.log next=$(basename "$BUILD"/deb-next/*.deb)
	printf '# %s\n' "$suite"
	if ! { make_base "$folder" "$suite" && make_root "$suite"; } >"$log" 2>&1; then
		tail -n 20 "$log"
		printf 'not ok %s: no system\n' "$suite"
		failed=$((failed + 1))
		continue
	fi
	{
		run_inside "$suite" "./deb_inside.sh $(basename "$package") $next /root/sidestep/peer"
		run_inside "$suite" "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends systemd >/dev/null"
		boot "$suite" "deb_service.sh $(basename "$package") $next /root/sidestep/peer"
	} > >(tee -a "$log") 2>&1
	child=
	passed=$((passed + $(grep -c '^ok ' "$log"))) failed=$((failed + $(grep -c '^not ok ' "$log")))
	[ "$(grep -cE '^(not )?ok purge' "$log")" = 2 ] || failed=$((failed + 1))
done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" = 0 ]
