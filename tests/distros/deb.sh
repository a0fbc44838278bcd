#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks the Debian package: with Debian's own tools, and in bare Debian systems (deb_inside.sh).
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
native=$(dpkg --print-architecture)
package=$BUILD/deb/sidestep_$(cat VERSION)_$native.deb

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

# completions_load - zsh and fish read their completions, and fish offers an option.
completions_load() {
	zsh -n "$BUILD/share/zsh/site-functions/_sidestep" &&
		fish -c "source $BUILD/share/fish/vendor_completions.d/sidestep.fish; complete -C 'sidestep ready --w'" |
		grep -q '^--wait'
}

# secure - systemd's judgement of the agent's service is at most 3.0.
secure() {
	local root=$BUILD/deb/root/lib/systemd/system
	systemd-analyze security --offline=yes --threshold=30 "$root/sidestep-agent.service"
}

# reproducible - a build of the committed tree in another folder gives the same program, package and image. Its time
# zone and the rights of its files differ, and nothing comes out of a cache.
reproducible() {
	local again=$folder/again file
	[ -z "$(git status --porcelain)" ] || {
		echo "the tree has changes, which a clone does not have"
		return 1
	}
	rm -rf "$again"
	(umask 077 && git clone -q --no-local . "$again" && cd "$again" && unset BUILD &&
		export TZ=Asia/Tokyo CCACHE_DISABLE=1 && make -s -j"$(nproc)" all build/share/written && make -s deb image) 2>/dev/null || return
	for file in sidestep "${package#"$BUILD/"}" image/sidestep.tar; do
		cmp "$BUILD/$file" "$again/build/$file" || return
	done
}

# make_root SUITE - makes $folder/SUITE.deb with the packages.
make_root() {
	local root=$folder/$1.deb
	rm -rf "$root"
	mkdir -p "$root" && cp -a --reflink=auto "$folder/$1.base/." "$root" && mkdir "$root/root/sidestep" &&
		cp "$package" "$BUILD/deb-next"/*.deb "$BUILD/peer" tests/distros/deb_inside.sh "$root/root/sidestep" &&
		cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# run_inside SUITE - runs deb_inside.sh there. Everything ends when unshare does, and that when this script does.
run_inside() {
	local next
	next=$(basename "$BUILD"/deb-next/*.deb)
	setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child -- \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		tests/distros/inside.sh "$folder/$1.deb" 600 \
		<<<"./deb_inside.sh $(basename "$package") $next /root/sidestep/peer" &
	child=$!
	wait "$child"
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
judge "zsh and fish read their completions" completions_load
judge "the agent's service is as closed as systemd can tell" secure
judge "the Kubernetes manifests fit the types of the API" /usr/bin/python3 tests/distros/manifests.py deploy/kubernetes.yaml
judge "a second build gives the same program, package and image" reproducible
[ $# -gt 0 ] || set -- bookworm trixie
for suite; do
	log=$folder/$suite.deb.log
	printf '# %s\n' "$suite"
	if ! { make_base "$folder" "$suite" && make_root "$suite"; } >"$log" 2>&1; then
		tail -n 20 "$log"
		printf 'not ok %s: no system\n' "$suite"
		failed=$((failed + 1))
		continue
	fi
	run_inside "$suite" > >(tee -a "$log") 2>&1
	child=
	passed=$((passed + $(grep -c '^ok ' "$log"))) failed=$((failed + $(grep -c '^not ok ' "$log")))
	grep -qE '^(not )?ok purge' "$log" || failed=$((failed + 1))
done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" = 0 ]
