#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# deploy/: the Compose file on a real engine, the orchestrators' files, and the documents of the parts.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=300 IMAGE=$BATS_FILE_TMPDIR
	bed_locked image image_copy
}

# image_copy - makes the image and copies it. Other files of tests make it anew meanwhile.
image_copy() {
	env -u MAKEFLAGS -u BUILD make -s -C "$BED_REPO" image &&
		cp "$BED_REPO"/build/image/sidestep.tar "$BED_REPO"/build/image/sidestep.spdx.json "$IMAGE"
}

teardown() {
	[ -z "${BED_DIR:-}" ] || bed_stop
}

compose() {
	dk compose -f "$BED_REPO/deploy/compose.yaml" "$@"
}

# bats test_tags=alone
@test "docker compose up shows an intercepted request within a minute, which the agent's programs steer" {
	local shell begin
	bed_needs_linux 6.6 "TCX links"
	shell=$(command -v busybox)
	export ENGINE=trixie
	engine_start
	mkdir "$BED_DIR/engine/config/cli-plugins"
	ln -s "$("$BED_REPO/tests/deps.sh" compose)" "$BED_DIR/engine/config/cli-plugins/docker-compose"
	dk load -qi "$IMAGE/sidestep.tar"
	engine_image busybox "$shell:/bin/sh"
	begin=$SECONDS
	compose up -d
	engine_wait_line deploy-app-1 '^destination 192.0.2.1:80' 60
	engine_wait_line deploy-gateway-1 '"destination":"192.0.2.1:80"'
	echo "$((SECONDS - begin)) s"
	[ $((SECONDS - begin)) -le 60 ]
	engine_wait_line deploy-sidecar-1 "the host's agent steers"
	compose down --timeout 1
	is containers "$(dk ps -aq)" ""
}

@test "the SPDX documents of the image and of the package are valid, and name each linked library" {
	local library package=$BATS_TEST_TMPDIR/package.spdx.json
	"$BED_REPO/deploy/sbom.sh" spdx sidestep-deb "$(dpkg --print-architecture)" "$SIDESTEP" >"$package"
	python3 "$BED_REPO/tests/spdx.py" "$IMAGE/sidestep.spdx.json" "$package"
	for library in $(tr ' ' '\n' <"$BED_REPO/build/libraries" | sed 's/^-l:*\(lib\)*//; s/\.a$//'); do
		case $library in
		crypto) library=ssl ;;
		z) library=zlib1g ;;
		tinfo | ncursesw) library=ncurses ;;
		esac
		grep -qE "\"name\": \"(lib)?${library}[^\"]*\"" "$package" || fail "no $library in the package's"
		grep -qE "\"name\": \"(lib)?${library}[^\"]*\"" "$IMAGE/sidestep.spdx.json" || fail "no $library in the image's"
	done
	grep -q '"name": "coreutils"' "$IMAGE/sidestep.spdx.json"
	# The control: a reference to nothing is found.
	sed 's/SPDXRef-Package-libmnl0", "rel/SPDXRef-Package-other", "rel/; s/"SPDXRef-Package-libmnl0"}/"SPDXRef-Package-other"}/' \
		"$package" >"$package.bad"
	run python3 "$BED_REPO/tests/spdx.py" "$package.bad"
	[ "$status" = 1 ]
	[[ $output == *"SPDXRef-Package-other does not exist"* ]]
}

@test "the workflow and the pages run targets of make that exist" {
	local target version
	version=$(<"$BED_REPO/VERSION")
	for target in $(sed -nE 's/^ +(- run: )?(sudo )?make ([a-z-]+).*/\3/p' "$BED_REPO/.github/workflows/build.yml" \
		"$BED_REPO/deploy/README.md" | sort -u); do
		grep -qE "^([a-z-]+ )*$target( [a-z-]+)*:" "$BED_REPO/Makefile" || fail "no target $target"
	done
	[ -n "$target" ]
	is "the image's version in kubernetes.yaml" \
		"$(sed -n 's/.*image: sidestep:\(.*\)/\1/p' "$BED_REPO/deploy/kubernetes.yaml" | sort -u)" "$version"
	grep -q "^## $version\$" "$BED_REPO/CHANGELOG.md"
}

@test "Swarm: bridge mode with the bridge of the services intercepts what they send outside" {
	local shell
	shell=$(command -v busybox)
	export ENGINE=trixie
	engine_start
	engine_image busybox "$shell:/bin/sh"
	dk swarm init --advertise-addr "$BED_UPLINK" >/dev/null
	dk network create -d overlay shared
	bed_spawn engine gateway "$SIDESTEP" gateway --listen 127.0.0.1:8080 --server --log
	bed_wait_line gateway "listens on"
	# The command is the page's.
	# shellcheck disable=SC2046 # a list of words
	bed_spawn engine bridge "$SIDESTEP" $(sed -n 's/^    sidestep \(sidecar --bridge docker_gwbridge .*\)/\1/p' \
		"$BED_REPO/deploy/README.md")
	bed_wait_line bridge "2 of 2 bridges .* are steered" 15
	dk service create -d --no-resolve-image --name app --network shared busybox \
		sh -c 'while sleep 1; do wget -q -O - http://192.0.2.1/hello; done'
	bed_wait_line gateway '"destination":"192.0.2.1:80"' 60
	dk service rm app
}
