# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The real `wrangler dev` in place of workerd: sourced after workerd.bash.
#
# wrangler, of examples/wrangler's lock file, runs on the "machine" of the engine with
# tests/e2e/wrangler.jsonc: the Worker that workerd has. It builds the application's image with buildx,
# and pulls ours from a registry on loopback. Everything it writes is in the bed.

# Not where the example starts one of its own.
WRANGLER_REGISTRY=127.0.0.1:5000

# wrangler_images - workerd_images, ours also in the registry, and node:22-slim for the example.
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

# wrangler_packages - what the example's lock file says, where the example itself looks for it: the bed
# has no way to npm's registry. Prints the folder.
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

# wrangler_start - builds what it builds, and waits until the worker answers. Nothing leaves the machine:
# no metrics, no update check, no request for the cf object.
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

# wrangler_restart - its workerd is killed; wrangler starts another by itself.
wrangler_restart() {
	local workerd
	workerd=$(_wrangler_workerd) || bed_fail "wrangler has no workerd" || return
	kill -KILL "$workerd" || return
	bed_until 20 _wrangler_restarted "$workerd" && bed_until 20 _workerd_answers
}

# The number of the workerd that runs the Worker. Another one listens and passes requests on to it.
_wrangler_workerd() {
	local front
	front=$(engine_exec ss -Hltnp "sport = :${WORKERD_ADDRESS#*:}" | grep -oE 'pid=[0-9]+' | head -n 1) || return
	pgrep --ns "$(_engine_holder)" --nslist net -x workerd | grep -vxF "${front#pid=}"
}

_wrangler_restarted() {
	local now
	now=$(_wrangler_workerd) && [ "$now" != "$1" ]
}
