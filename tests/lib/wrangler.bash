# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The real `wrangler dev` in place of workerd: sourced after workerd.bash.
#
# The wrangler of examples/wrangler's lock file runs on the "machine" of the engine with
# tests/e2e/wrangler.jsonc, which has workerd's Worker. It builds the application's image with buildx and pulls
# ours from a registry on loopback. All its files are in the bed.

# The example starts a registry of its own at another port.
WRANGLER_REGISTRY=127.0.0.1:5000

# wrangler_images - makes workerd's images, pushes ours to the registry, and tags node:22-slim for the example.
wrangler_images() {
	workerd_images || return
	dk tag app node:22-slim || return
	REGISTRY_PATH=$("$BED_REPO/tests/deps.sh" wrangler) || return
	export REGISTRY_PATH
	cat >"$BED_DIR/registry.yml" <<-CONFIGURATION
		version: 0.1
		storage: {filesystem: {rootdirectory: $BED_DIR/registry}}
		http: {addr: "$WRANGLER_REGISTRY"}
	CONFIGURATION
	bed_spawn engine registry "$REGISTRY_PATH/docker-registry" serve "$BED_DIR/registry.yml" || return
	bed_until 10 _wrangler_registry_answers || return
	dk tag sidestep "$WRANGLER_REGISTRY/sidestep" &&
		dk push -q "$WRANGLER_REGISTRY/sidestep" >/dev/null
}

_wrangler_registry_answers() {
	engine_exec curl -fs --max-time 2 "http://$WRANGLER_REGISTRY/v2/" >/dev/null
}

# wrangler_packages - installs the packages of the example's lock file and prints their folder. The example uses
# the same folder, because the bed has no way to npm's registry.
wrangler_packages() {
	bed_locked wrangler _wrangler_packages
}

_wrangler_packages() {
	local work=$BED_REPO/build/examples/wrangler
	mkdir -p "$work"
	cp "$BED_REPO"/examples/wrangler/{package.json,package-lock.json,.npmrc} "$work"
	if ! cmp -s "$work/package-lock.json" "$work/installed.json"; then
		(cd "$work" && npm ci --silent --no-audit --no-fund >&2) || bed_fail "npm ci failed" || return
		cp "$work/package-lock.json" "$work/installed.json"
	fi
	printf '%s\n' "$work"
}

# wrangler_start - starts wrangler, which builds the image, and waits until the worker answers. Nothing leaves
# the machine: no metrics, no update check, no request for the cf object.
wrangler_start() {
	local packages project=$BED_DIR/wrangler
	packages=$(wrangler_packages) || return
	mkdir "$project"
	cp "$BED_REPO"/tests/e2e/{Dockerfile,worker.js,wrangler.jsonc} "$project"
	bed_spawn engine wrangler env --chdir "$project" CI=true WRANGLER_SEND_METRICS=false \
		WRANGLER_SEND_ERROR_REPORTS=false CLOUDFLARE_CF_FETCH_ENABLED=false NO_UPDATE_NOTIFIER=1 \
		WRANGLER_HIDE_BANNER=true DOCKER_HOST=unix:///run/docker.sock "DOCKER_CONFIG=$BED_DIR/engine/config" \
		"MINIFLARE_CONTAINER_EGRESS_IMAGE=$WRANGLER_REGISTRY/sidestep" \
		"PATH=$(echo "$packages"/node_modules/node-linux-*/bin):$ENGINE_PATH:$PATH" \
		node "$packages/node_modules/wrangler/bin/wrangler.js" dev --config "$project/wrangler.jsonc" \
		--ip "${WORKERD_ADDRESS%:*}" --port "${WORKERD_ADDRESS#*:}" --inspector-port 0 \
		--show-interactive-dev-session=false || return
	bed_until 60 _workerd_answers
}

# wrangler_restart - kills wrangler's workerd and waits until wrangler has started another.
wrangler_restart() {
	local workerd
	workerd=$(_wrangler_workerd) || bed_fail "wrangler has no workerd" || return
	kill -KILL "$workerd" || return
	bed_until 20 _wrangler_restarted "$workerd" && bed_until 20 _workerd_answers
}

# Prints the number of the workerd that runs the Worker. (Another one listens and passes requests on to it.)
_wrangler_workerd() {
	local front
	front=$(engine_exec ss -Hltnp "sport = :${WORKERD_ADDRESS#*:}" | grep -oE 'pid=[0-9]+' | head -n 1) || return
	pgrep --ns "$(_engine_holder)" --nslist net -x workerd | grep -vxF "${front#pid=}"
}

_wrangler_restarted() {
	local now
	now=$(_wrangler_workerd) && [ "$now" != "$1" ]
}
