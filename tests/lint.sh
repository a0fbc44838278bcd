#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Format and static analysis, one TAP line each. Needs the built skeleton (make build).
set -u

cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=build}"
sources=(user/*.[ch] user/*/*.[ch] tests/unit/*.[ch] tests/peer/*.c bench/load/*.[ch])
bpf=(bpf/*.c bpf/*.h include/*.h)
number=0
status=0

# check NAME COMMAND... - ok when it succeeds; else its output is shown.
check() {
	local name=$1 text
	shift
	number=$((number + 1))
	if text=$("$@" 2>&1); then
		printf 'ok %d %s\n' "$number" "$name"
		return
	fi
	status=1
	printf 'not ok %d %s\n' "$number" "$name"
	printf '%s\n' "$text" | tail -n 60 | sed 's/^/# /'
}

tidy() {
	# shellcheck disable=SC2016 # for the inner shell
	printf '%s\n' user/*.c user/*/*.c | BUILD=$BUILD xargs -P "$(nproc)" -n 6 sh -c '
		clang-tidy --quiet "$@" -- -std=gnu11 -D_GNU_SOURCE "-DSIDESTEP_VERSION=\"0\"" \
			-Iuser -Iinclude "-I$BUILD" -isystem /usr/share/include/llhttp \
			-isystem /usr/share/include 2>/dev/null' tidy
}

# Ownership by cleanup attributes is beyond it: leaks are left to LeakSanitizer. Iteration macros of
# libraries whose headers it is not given are spelled out.
check_cpp() {
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=memleak \
		--suppress=resourceLeak --std=c11 -D_GNU_SOURCE -Iuser -Iinclude -j "$(nproc)" \
		'-Dmnl_attr_for_each(a,b,c)=for((a)=0;(a);)' '-Dmnl_attr_for_each_nested(a,b)=for((a)=0;(a);)' \
		'-Djson_array_foreach(a,b,c)=for((b)=0,(c)=0;(c);)' '-Djson_object_foreach(a,b,c)=for((b)=0,(c)=0;(c);)' \
		'-Dbpf_object__for_each_map(a,b)=for((a)=0;(a);)' user
}

no_names_outside() {
	# Package sources are the machine's own; no registry host stands in the project.
	! git grep -nIE 'deb\.debian\.org|archive\.ubuntu\.com|security\.debian\.org|registry\.npmjs\.org' -- \
		':!tests/lint.sh'
}

echo 1..4
check "clang-format" clang-format --dry-run --Werror "${sources[@]}" tests/peer/*.h "${bpf[@]}"
check "cppcheck" check_cpp
check "clang-tidy" tidy
check "no registry host in the project" no_names_outside
exit $status
