#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/hardening.sh PROGRAM OBJECT... - reads the linked program, and the objects or archives of our own code
# in it, and prints a line for each protection that is missing.
#
# The mark for protected branches (IBT and SHSTK on x86, BTI and PAC on arm64) is looked for in our own objects.
# The linker leaves it out of the program if any archive lacks it, such as Debian 12's. It also shows that the
# Makefile's flags reached the object. $READELF reads the files of another architecture.
set -u -o pipefail

: "${READELF:=readelf}"
export LC_ALL=C
status=0

missing() {
	printf '%s\n' "$*"
	status=1
}

# has TEXT PATTERN MESSAGE
has() {
	grep -qE "$2" <<<"$1" || missing "$3"
}

# has_not TEXT PATTERN MESSAGE
has_not() {
	! grep -qE "$2" <<<"$1" || missing "$3"
}

program=$1
shift
for file in "$program" "$@"; do
	[ -r "$file" ] || { missing "$file: not there; run: make"; exit 1; }
done

headers=$("$READELF" -hlW "$program") && dynamic=$("$READELF" -dW "$program") || exit 1
has "$headers" '^ *Type: +DYN ' "$program: not position independent (-pie)"
has "$dynamic" '\(FLAGS_1\).* PIE' "$program: not position independent (-pie)"
has "$dynamic" '\((BIND_NOW|FLAGS)\).*BIND_NOW|\(FLAGS_1\).* NOW' "$program: binds lazily (-z now)"
has "$headers" '^ *GNU_RELRO ' "$program: its relocations stay writable (-z relro)"
has "$headers" '^ *GNU_STACK ' "$program: does not say whether its stack is executable"
has_not "$headers" '^ *GNU_STACK .* RWE ' "$program: its stack is executable (-z noexecstack)"
has_not "$headers" '^ *LOAD .* (RWE|WE|W E) ' "$program: has memory that is writable and executable"
has_not "$dynamic" '\(TEXTREL\)' "$program: relocates its code"

symbols=$("$READELF" -sW "$@") || exit 1
has "$symbols" ' UND __stack_chk_fail$' "no object checks its stack (-fstack-protector-strong)"
has "$symbols" ' UND __[a-z]+_chk$' "no object calls a function with checked sizes (_FORTIFY_SOURCE)"

case $headers in
*X86-64*) mark='x86 feature: IBT, SHSTK' ;;
*AArch64*) mark='AArch64 feature: BTI, PAC' ;;
*) mark= ;;
esac
for file in "$@"; do
	# In an archive a line names each object before its notes.
	"$READELF" -nW "$file" | awk -v mark="$mark" -v name="$file" '
		function judge() { if (!found) { print name ": no protected branches (" mark ")"; bad = 1 } }
		/^File: / { if (named) judge(); named = 1; name = $2; found = 0 }
		index($0, mark) { found = 1 }
		END { judge(); exit bad }' || status=1
done
exit $status
