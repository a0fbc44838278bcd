#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/run.sh [--light] FILE... - runs unit test programs and .bats files, shows what they say,
# and ends with one line: N passed, N failed, N skipped. --light leaves out what is tagged heavy, for a
# slow machine (tests/kernels). Status 1 when a test failed or a program
# ended without its plan; in CI (CI=true) also for skips other than those in tests/skips-expected.
set -u

cd "$(dirname "$0")/.." || exit 1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0 skipped=0
failures=()
skips=()

bats_options=(--tap)
if [ "${1:-}" = --light ]; then
	bats_options+=(--filter-tags '!heavy')
	shift
fi

# count FILE STATUS - reads the TAP in $output.
count() {
	local line ok=0 bad=0 skip=0
	while IFS= read -r line; do
		case $line in
		"ok "*"# skip"* | "ok "*"# SKIP"* | "not ok "*"# SKIP"*) # cmocka says the last
			skip=$((skip + 1))
			skips+=("$1: ${line#ok }")
			;;
		"ok "*) ok=$((ok + 1)) ;;
		"not ok "*)
			bad=$((bad + 1))
			failures+=("$1: ${line#not ok }")
			;;
		esac
	done <"$output"
	# A program that crashed, hung or never began has failed, whatever it printed before.
	if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ] || [ $((ok + bad + skip)) -eq 0 ]; then
		bad=$((bad + 1))
		failures+=("$1: exit status $2")
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

for file; do
	printf '# %s\n' "$file"
	case $file in
	*.bats) timeout 900 bats "${bats_options[@]}" "$file" 2>&1 | tee "$output" ;;
	*.sh) timeout 300 "$file" 2>&1 | tee "$output" ;;
	*) CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$file" 2>&1 | tee "$output" ;;
	esac
	count "$file" "${PIPESTATUS[0]}"
done

status=0
for line in ${failures[@]+"${failures[@]}"}; do
	printf 'FAILED  %s\n' "$line"
	status=1
done
for line in ${skips[@]+"${skips[@]}"}; do
	printf 'SKIPPED %s\n' "$line"
	if [ "${CI:-}" = true ]; then
		printf 'a skip fails in CI\n'
		status=1
	fi
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit $status
