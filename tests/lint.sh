#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/lint.sh [CHECK...] - checks format, structure, prose and static analysis of the files that git
# knows or would add. Prints one TAP line for each check, or for those that are named:
#
#   format       clang-format changes nothing
#   layers       includes keep to user/LAYERS, and no files of one folder include each other
#   length       no C file has more than 500 lines
#   twins        container_of is defined once, in user/lib/util.h
#   proto        user/proto/ does no input or output
#   prose        sentences are short and begin with their subject (tests/prose.py)
#   hosts        no package registry is named
#   scripts      shellcheck has no warnings
#   cppcheck     user/
#   hardening    the built program and its objects have the compiler's protections (tests/hardening.sh)
#   tidy         clang-tidy on user/; needs the built skeletons
#
# make lint builds what hardening and tidy need.
#
# tests/lint.sh --format formats these files.
#
# A file passes clang-tidy once: the result is kept below $BUILD/lint until the file, a header, the options
# or the tool changes. With CI=true every file is checked.
set -u -o pipefail

cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=build}" "${CC:=gcc}"
: "${CLANG_FORMAT:=clang-format}" "${CLANG_TIDY:=clang-tidy}" "${CPPCHECK:=cppcheck}"
kept=$BUILD/lint
checks=(format layers length twins proto prose hosts scripts cppcheck hardening tidy)
compiler_flags=(-std=gnu11 -D_GNU_SOURCE "-DSIDESTEP_VERSION=\"0\"" -Iuser -Iinclude "-I$BUILD"
	-isystem /usr/share/include/llhttp -isystem /usr/share/include)

# files PATTERN... - lists the regular files that git knows or would add, without vmlinux.h and links.
files() {
	local file
	git ls-files -z --cached --others --exclude-standard -- "$@" | while IFS= read -r -d '' file; do
		[ ! -f "$file" ] || [ -L "$file" ] || [ "$file" = vmlinux.h ] || printf '%s\n' "$file"
	done
}

check_format() {
	files '*.c' '*.h' | xargs "$CLANG_FORMAT" --dry-run --Werror
}

check_layers() {
	files 'user/*.c' 'user/*.h' | xargs awk -f tests/layers.awk user/LAYERS
}

check_length() {
	files '*.c' '*.h' | xargs wc -l |
		awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines, 500 are allowed"; bad = 1 } END { exit bad }'
}

check_twins() {
	! files '*.c' '*.h' | grep -vx user/lib/util.h | xargs grep -nE '^[[:space:]]*#[[:space:]]*define[[:space:]]+container_of\b'
}

# Comments may name these functions.
check_proto() {
	local file status=0
	local calls='socket|socketpair|bind|listen|accept4?|connect|shutdown|[gs]etsockopt|send|sendto|sendm?msg'
	calls+='|recv|recvfrom|recvm?msg|read|readv|write|writev|open|openat|close|p?poll|epoll_[a-z0-9_]+|ioctl|fcntl'
	for file in $(files 'user/proto/*'); do
		"$CC" -fpreprocessed -dD -E -x c "$file" 2>/dev/null |
			grep -E "\\<($calls) *\\(|# *include *<(sys/(socket|epoll|un|uio|ioctl)|unistd|fcntl|poll|netdb)\\.h>" |
			sed "s|^|$file: |" | grep . && status=1
	done
	return $status
}

check_prose() {
	python3 tests/prose.py
}

# Package sources are the machine's own.
check_hosts() {
	local status=0
	git grep --untracked -nIE 'deb\.debian\.org|archive\.ubuntu\.com|security\.debian\.org|registry\.npmjs\.org' \
		-- ':!tests/lint.sh' || status=$?
	# Status 1 of git grep means that it found nothing.
	[ "$status" = 1 ]
}

check_scripts() {
	local scripts
	mapfile -t scripts < <(files | xargs grep -lE '^#!(/bin/|/usr/bin/env )(ba)?(sh|ts)$|^# shellcheck shell=')
	shellcheck --external-sources --severity=warning "${scripts[@]}"
}

# Leaks are left to LeakSanitizer, because cppcheck does not know cleanup attributes. Iteration macros of
# libraries whose headers it is not given are spelled out.
check_cppcheck() {
	"$CPPCHECK" --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=memleak \
		--suppress=resourceLeak --std=c11 -D_GNU_SOURCE -Iuser -Iinclude -j "$(nproc)" \
		'-Dmnl_attr_for_each(a,b,c)=for((a)=0;(a);)' '-Dmnl_attr_for_each_nested(a,b)=for((a)=0;(a);)' \
		'-Djson_array_foreach(a,b,c)=for((b)=0,(c)=0;(c);)' '-Djson_object_foreach(a,b,c)=for((b)=0,(c)=0;(c);)' \
		'-Dbpf_object__for_each_map(a,b)=for((a)=0;(a);)' user
}

check_hardening() {
	tests/hardening.sh "$BUILD/sidestep" "$BUILD/user/main.o" "$BUILD/libsidestep.a"
}

# tidy_key FILE - prints a hash of all that the result depends on, or nothing when the compiler fails.
tidy_key() {
	local read
	read=$("$CC" "${compiler_flags[@]}" -MM "$1" 2>/dev/null) || return
	read=${read#*:}
	# shellcheck disable=SC2086 # a list of words
	(printf '%s\n' "$tidy_version" "${compiler_flags[@]}" && cat .clang-tidy ${read//\\/}) | sha256sum
}

tidy() {
	local key stamp=$kept/tidy/$1
	key=$(tidy_key "$1")
	if [ "${CI:-}" != true ] && [ -n "$key" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
		return 0
	fi
	"$CLANG_TIDY" --quiet "$1" -- "${compiler_flags[@]}" 2>&1 | grep -vE '^[0-9]+ warnings? generated\.$'
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	mkdir -p "${stamp%/*}" && printf '%s\n' "$key" >"$stamp"
}

check_tidy() {
	tidy_version=$("$CLANG_TIDY" --version) || return
	export tidy_version
	files 'user/*.c' | xargs -P "$(nproc)" -n 1 tests/lint.sh --tidy
}

if [ "${1:-}" = --tidy ]; then
	tidy "$2"
	exit
fi
if ! git rev-parse --is-inside-work-tree >/dev/null; then
	echo "Bail out! git does not list the files"
	exit 1
fi
tools=$(tests/deps.sh lint) || { echo "Bail out! no tools"; exit 1; }
export PATH=$tools:$PATH
if [ "${1:-}" = --format ]; then
	files '*.c' '*.h' | xargs "$CLANG_FORMAT" -i
	exit
fi
for name; do
	[[ " ${checks[*]} " == *" $name "* ]] || { echo "lint: no check $name; there are ${checks[*]}" >&2; exit 2; }
done
[ $# = 0 ] || checks=("$@")
echo "1..${#checks[@]}"
status=0 number=0
for name in "${checks[@]}"; do
	number=$((number + 1))
	if text=$("check_$name" 2>&1); then
		printf 'ok %d %s\n' $number "$name"
		continue
	fi
	status=1
	printf 'not ok %d %s\n' $number "$name"
	printf '%s\n' "$text" | tail -n 60 | sed 's/^/# /'
done
exit $status
