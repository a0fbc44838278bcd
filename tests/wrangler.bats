#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `wrangler dev`, unmodified and without a network, with our image as MINIFLARE_CONTAINER_EGRESS_IMAGE:
# examples/wrangler, run as a person would. It builds the application with buildx and pulls our image
# from a registry on loopback.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=400 ENGINE=trixie
	env -u MAKEFLAGS -u BUILD make -s -C "$BED_REPO" image
	REGISTRY_PATH=$("$BED_REPO/tests/deps.sh" wrangler)
	export REGISTRY_PATH
	engine_start
	dk load -qi "$BED_REPO/build/image/sidestep.tar" >/dev/null
	node_image
	# npm ci wants the registry, which the bed's network has no way to.
	install_packages_of_example
}

teardown_file() {
	bed_stop
}

# What the application's Dockerfile starts from: this machine's node under the name of the usual image.
node_image() {
	local node builtin files=()
	node=$(readlink -f "$(command -v node)")
	while read -r builtin; do
		[ ! -f "$builtin" ] || files+=("$builtin:$builtin")
	done < <(node -p 'process.config.variables.node_builtin_shareable_builtins.filter(p => p[0] == "/").join("\n")')
	engine_image node:22-slim --change "ENV PATH=/bin" "$node:/bin/node" "${files[@]}"
}

install_packages_of_example() {
	local work=$BED_REPO/build/examples/wrangler
	mkdir -p "$work"
	cp "$BED_REPO"/examples/wrangler/{package.json,package-lock.json,.npmrc} "$work"
	if ! cmp -s "$work/package-lock.json" "$work/installed.json"; then
		(cd "$work" && npm ci --silent --no-audit --no-fund)
		cp "$work/package-lock.json" "$work/installed.json"
	fi
}

example() {
	engine_exec env -u MAKEFLAGS "PATH=$ENGINE_PATH:$REGISTRY_PATH:$PATH" DOCKER_HOST=unix:///run/docker.sock \
		"DOCKER_CONFIG=$BED_DIR/engine/config" "$BED_REPO/examples/wrangler/run"
}

no_containers() {
	[ -z "$(dk ps -aq)" ]
}

show_state() {
	tail -n 40 "$BED_REPO/build/examples/wrangler/wrangler.log"
	for name in $(dk ps -a --format '{{.Names}}'); do
		echo "--- $name"
		dk logs --tail 15 "$name" 2>&1
	done
}

answered_by_the_worker() {
	[[ $1 == *"http://virtual.test/hello "*" 200 the Worker answers GET http://virtual.test/hello"* ]] &&
		[[ $1 == *"https://virtual.test/hello "*" 200 the Worker answers GET https://virtual.test/hello"* ]]
}

@test "the container's calls to a virtual host are answered by the Worker, HTTP and HTTPS" {
	run example
	echo "$output"
	[ "$status" = 0 ] || show_state
	[ "$status" = 0 ]
	answered_by_the_worker "$output"
	# The engine may still be removing them.
	bed_until 10 no_containers
}
