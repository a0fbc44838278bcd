#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# tests/run.sh counts what its files print, and misses no file that fails without a word.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	unset CI JOBS
	# bats would take it for a test of this file.
	AT=@
}

# program NAME - writes stdin as an executable script.
program() {
	{ echo '#!/bin/bash' && cat; } >"$1"
	chmod +x "$1"
}

# run_files STATUS LAST-LINE FILE...
run_files() {
	local status_wanted=$1 last=$2
	shift 2
	run "$BATS_TEST_DIRNAME/run.sh" "${@/#/$PWD/}"
	echo "$output"
	[ "$status" = "$status_wanted" ]
	[ "${lines[-1]}" = "$last" ]
}

@test "passing, failing and skipped tests are counted" {
	printf '%s\n' "${AT}test one {" : '}' "${AT}test two {" false '}' "${AT}test three {" 'skip "no hat"' '}' >a.bats
	program unit <<<'printf "1..2\nok 1 - b\nno ears\nnot ok 2 # SKIP a\n"'
	run_files 1 "2 passed, 1 failed, 2 skipped" a.bats unit
	[[ $output == *"FAILED  $PWD/a.bats: 2 two"* ]]
	[[ $output == *"SKIPPED $PWD/a.bats: 3 three # skip no hat"* ]]
	[[ $output == *"SKIPPED $PWD/unit: "*"no ears"* ]]
}

@test "a skip fails in CI, and everywhere when it has no reason" {
	program named <<<'printf "1..1\nok 1 a # skip no hat\n"'
	run_files 0 "0 passed, 0 failed, 1 skipped" named
	CI=true run_files 1 "0 passed, 0 failed, 1 skipped" named
	program bats <<<'printf "1..1\nok 1 a # skip\n"'
	program unit <<<'printf "1..2\nok 1 - b\nnot ok 2 # SKIP a\n"'
	run_files 1 "1 passed, 2 failed, 0 skipped" bats unit
	[[ $output == *"a skip without a reason"* ]]
}

@test "a file fails that crashes, stops early, is silent, is missing, or ends with another status" {
	program crash <<<'printf "1..2\nok 1 a\n"; kill -SEGV $$'
	program early <<<'printf "1..2\nok 1 a\n"'
	program silent <<<true
	program quiet <<<'printf "1..1\nok 1 a\n"; exit 3'
	program good <<<'printf "1..1\nok 1 a\n"'
	run_files 1 "4 passed, 5 failed, 0 skipped" crash early silent quiet missing good
	[[ $output == *"FAILED  $PWD/crash: 1 results of 2 planned, exit status 139"* ]]
	[[ $output == *"FAILED  $PWD/early: 1 results of 2 planned, exit status 0"* ]]
	[[ $output == *"FAILED  $PWD/silent: no test"* ]]
	[[ $output == *"FAILED  $PWD/quiet: exit status 3"* ]]
	[[ $output == *"FAILED  $PWD/missing: "* ]]
}

@test "a file that takes too long is ended with all its processes" {
	program endless <<<'printf "1..1\n"; sleep 333 & wait'
	LIMIT=1 run_files 1 "0 passed, 1 failed, 0 skipped" endless
	[[ $output == *"FAILED  $PWD/endless: took longer than 1 s"* ]]
	run ! pgrep -fx "sleep 333"
}

@test "files run side by side, and their output stays in order" {
	program slow <<<'printf "1..1\n"; until [ -e quick.ran ]; do sleep 0.02; done; echo ok 1 slow'
	program quick <<<'cd "${0%/*}"; touch quick.ran; printf "1..1\nok 1 quick\n"'
	sed -i '1a cd "${0%/*}"' slow
	JOBS=2 run_files 0 "2 passed, 0 failed, 0 skipped" slow quick
	[[ $output == *"# $PWD/slow ("*"ok 1 slow"*"# $PWD/quick ("*"ok 1 quick"*"the longest:"*"$PWD/"* ]]
}

@test "a script and long .bats files start first, and unit tests last" {
	program unit <<<'echo unit >>ran; printf "1..1\nok 1 a\n"'
	printf '%s\n' "${AT}test short {" 'echo short >>ran' '}' >short.bats
	printf '%s\n' "# A long file." "${AT}test long {" 'echo long >>ran' '}' >long.bats
	program script.sh <<<'echo script >>ran; printf "1..1\nok 1 a\n"'
	sed -i "s|>>ran|>>$PWD/ran|" ./*.bats unit script.sh
	JOBS=1 run_files 0 "4 passed, 0 failed, 0 skipped" unit short.bats long.bats script.sh
	[ "$(xargs <ran)" = "script long short unit" ]
}

@test "tests with the tag alone run last and one at a time, and each runs once" {
	printf '%s\n' "${AT}test one {" 'echo one >>ran' '}' "# bats test_tags=heavy,alone" "${AT}test two {" 'echo two >>ran' '}' \
		>a.bats
	printf '%s\n' "# bats file_tags=alone" "${AT}test three {" 'echo three >>ran' '}' >b.bats
	printf '%s\n' "${AT}test four {" 'echo four >>ran' '}' >c.bats
	sed -i "s|>>ran|>>$PWD/ran|" ./*.bats
	JOBS=2 run_files 0 "4 passed, 0 failed, 0 skipped" a.bats b.bats c.bats
	[ "$(head -n 2 ran | sort | xargs)" = "four one" ]
	[ "$(tail -n 2 ran | xargs)" = "two three" ]
	rm ran
	run "$BATS_TEST_DIRNAME/run.sh" --light a.bats b.bats
	echo "$output"
	[ "$status" = 1 ]
	run "$BATS_TEST_DIRNAME/run.sh" --light "$PWD/a.bats" "$PWD/b.bats"
	echo "$output"
	[ "${lines[-1]}" = "2 passed, 0 failed, 0 skipped" ]
	[ "$(xargs <ran)" = "one three" ]
}
