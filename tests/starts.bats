#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Cold starts with tests/e2e/starts.sh, in which the incumbent's readiness aborts (workerd 6793, 6790, 6860).

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"
# shellcheck source=tests/lib/workerd.bash
. "$BATS_TEST_DIRNAME/lib/workerd.bash"

: "${STARTS:=100}" # in each test: 200 in all
AT_ONCE=4

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=400
	engine_start
	workerd_sidecar_image
	engine_exec sh -c 'for name in all default docker0 uplink; do
		echo 1 >/proc/sys/net/ipv4/conf/$name/src_valid_mark; done'
	bed_spawn engine gateway "$SIDESTEP" gateway --server --listen 0.0.0.0:8080
}

teardown_file() {
	bed_stop
}

teardown() {
	[ -n "${BED_DIR:-}" ] || return 0
	bed_kill agent
}

# starts - no start aborts, and each serves outbound traffic. (Traffic from before readiness may bypass the proxy,
# because workerd starts the application later.)
starts() {
	local worker lines
	for ((worker = 1; worker <= AT_ONCE; worker++)); do
		bed_spawn world "starts$worker" "$BED_REPO/tests/e2e/starts.sh" "${BATS_TEST_NUMBER}-$worker" $((STARTS / AT_ONCE))
	done
	for ((worker = 1; worker <= AT_ONCE; worker++)); do
		bed_wait_exit "starts$worker" 380 || fail "a start failed: $(bed_log "starts$worker" | tail -n 5)"
	done
	lines=$(cat "$BED_DIR"/starts[0-9]*.log)
	awk -F'[ =]' '/ready_ms/ { print $4 }' <<<"$lines" | sort -n |
		awk '{ a[NR] = $1 } END { print "ready after ms: median " a[int((NR + 1) / 2)] ", longest " a[NR] }' >&3
	is "starts" "$(grep -c "^start=" <<<"$lines")" $((STARTS / AT_ONCE * AT_ONCE))
	is "starts with an abort" "$(grep "^start=" <<<"$lines" | grep -v " aborted= ")" ""
	# Each start's last connection was served, or the start counts as aborted. There was traffic in all.
	[ "$(awk -F'outbound=' '/^start=/ { n += $2 } END { print n }' <<<"$lines")" -ge $((STARTS * 5)) ]
}

@test "none of $STARTS starts aborts with src_valid_mark=1, polls from outside and outbound traffic" {
	starts
}

@test "none of $STARTS starts aborts with src_valid_mark=1, the agent, polls from outside and outbound traffic" {
	workerd_agent
	starts
}
