#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# tests/lint.sh and tests/prose.py refuse each violation that is planted in a copy of the tree.

bats_require_minimum_version 1.5.0

setup_file() {
	TREE=$BATS_FILE_TMPDIR/tree
	export TREE
	mkdir "$TREE"
	cd "$BATS_TEST_DIRNAME/.." || return
	git ls-files -z --cached --others --exclude-standard | xargs -0 -n 1 | while read -r file; do
		[ ! -e "$file" ] || printf '%s\n' "$file"
	done | tar -T - -cf - | tar -C "$TREE" -xf -
	cd "$TREE" || return
	export GIT_AUTHOR_NAME=lint GIT_AUTHOR_EMAIL=lint@example.test
	export GIT_COMMITTER_NAME=lint GIT_COMMITTER_EMAIL=lint@example.test
	# Tools that were unpacked for the tree serve the copy as well.
	mkdir -p build
	ln -s "$BATS_TEST_DIRNAME/../build/lint-tools" build/lint-tools
	git init -q && git add -A && git commit -qm tree
}

setup() {
	cd "$TREE" || return
	unset CI
}

teardown() {
	cd "$TREE" && git reset -q --hard && git clean -fdq
}

# refused CHECK TEXT - the check fails and its output has the text.
refused() {
	run -1 tests/lint.sh "$1"
	echo "$output"
	[[ $output == *"not ok 1 $1"* && $output == *"$2"* ]]
}

# passes CHECK
passes() {
	run -0 tests/lint.sh "$1"
	echo "$output"
	[ "${lines[1]}" = "ok 1 $1" ]
}

# prose_of NAME - reads stdin as a file of that name; the findings go to $output.
prose_of() {
	cat >"$BATS_TEST_TMPDIR/$1"
	run python3 tests/prose.py "$BATS_TEST_TMPDIR/$1"
	echo "$output"
}

# Fixtures begin sentences with these, which the check must not find in this file.
what=What who=Who

# words COUNT - prints so many words.
words() {
	seq -s ' ' "$1"
}

@test "the tree passes without static analysis" {
	run -0 tests/lint.sh format layers length twins proto prose hosts
	echo "$output"
	[ "$(grep -c '^ok [0-9]* [a-z]*$' <<<"$output")" = 7 ]
}

@test "an unknown check is refused, and the checks are named" {
	run -2 tests/lint.sh nothing
	[[ $output == *"no check nothing"*"layers"* ]]
}

@test "without git nothing passes" {
	rm -rf .git.away
	mv .git .git.away
	run -1 env GIT_CEILING_DIRECTORIES="$BATS_FILE_TMPDIR" tests/lint.sh hosts
	echo "$output"
	mv .git.away .git
	[[ $output == *"Bail out!"* && $output != *"ok 1"* ]]
	mkdir "$BATS_TEST_TMPDIR/bin"
	for tool in bash env dirname sed tail wc xargs; do
		ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/bin/$tool"
	done
	run -1 env PATH="$BATS_TEST_TMPDIR/bin" tests/lint.sh hosts
	echo "$output"
	[[ $output == *"Bail out!"* && $output != *"ok 1"* ]]
}

@test "layers: an include against user/LAYERS" {
	echo '#include "proxy/proxy.h"' >>user/lib/log.c
	refused layers "lib may not include proxy"
}

@test "layers: a folder that user/LAYERS does not name, included and including" {
	mkdir user/attic
	echo '#include "lib/log.h"' >user/attic/attic.h
	echo '#include "attic/attic.h"' >>user/main.c
	refused layers "user/LAYERS has no line for the folder attic"
	[[ $output == *"user/main.c:"*"user/LAYERS has no line for attic"* ]]
}

@test "layers: a name that stands on no earlier line" {
	sed -i 's/^lib:.*/lib: proxy/' user/LAYERS
	refused layers "proxy does not stand on an earlier line"
}

@test "layers: includes without a folder, upwards, or in angle brackets" {
	echo '#include "log.h"' >>user/lib/log.c
	echo '#include "../proxy/proxy.h"' >>user/lib/address.c
	echo '#include <proxy/proxy.h>' >>user/lib/memory.c
	refused layers 'user/lib/log.c:'
	[[ $output == *'"log.h" names no folder'* ]]
	[[ $output == *'"../proxy/proxy.h" is not of the form folder/file.h'* ]]
	[[ $output == *'<proxy/proxy.h> takes quotes'* ]]
}

@test "layers: user/commands.h opens no way around" {
	echo '#include "proxy/proxy.h"' >>user/commands.h
	refused layers "a header in user/ itself includes no folder"
}

@test "layers: files that include each other, also through a third or a private header" {
	echo '#include "lib/one.h"' >user/lib/two.c
	echo '#include "lib/two.h"' >user/lib/three_private.h
	echo '#include "lib/three_private.h"' >user/lib/one.c
	refused layers "circle of includes: lib/"
	rm user/lib/two.c
	passes layers
}

@test "length: a C file of 501 lines" {
	yes '/* line */' | head -500 >user/lib/long.h
	passes length
	echo '/* line */' >>user/lib/long.h
	refused length "user/lib/long.h: 501 lines"
}

@test "twins: a second container_of" {
	echo '#define container_of(pointer, type, member) 0' >>tests/peer/peer.h
	refused twins "tests/peer/peer.h:"
}

@test "proto: a socket" {
	local file
	file=$(git ls-files 'user/proto/*.c' | head -n 1)
	echo '/* The caller uses send(2) or connect(). */' >>"$file"
	passes proto
	echo 'int leak(int fd) { return (int)send(fd, "", 0, 0); }' >>"$file"
	refused proto "$file: "
	git checkout -q "$file"
	echo '#include <sys/socket.h>' >>"$file"
	refused proto "$file: "
}

@test "format: a file that clang-format would change" {
	echo 'int  x ;' >>user/lib/log.c
	refused format "user/lib/log.c"
}

@test "hosts: a package registry" {
	# Built from parts: this file is checked as well.
	printf 'https://registry.%s/\n' npmjs.org >docs/mirror.txt
	refused hosts "docs/mirror.txt:1:"
}

@test "scripts: a warning of shellcheck" {
	# The other scripts take longer than all other tests of this file.
	git rm -rq 'tests/*.bats' 'tests/lib/*.bash' bench
	passes scripts
	printf '#!/bin/bash\ncd "$(pwd)"\nunused=1\n' >tests/sloppy.sh
	refused scripts "unused appears unused"
}

@test "prose: a long sentence and a clause as subject" {
	printf '/* %s. */\n' "$(words 26)" >>user/lib/log.c
	refused prose "26 words"
	git checkout -q user/lib/log.c
	echo '# What is this' >docs/page.md
	refused prose "docs/page.md:1: begins with a clause"
}

# linked NAME [FLAG...] - builds $BUILD/sidestep and its objects, with the flags behind those that are right.
linked() {
	export BUILD=$BATS_TEST_TMPDIR/$1
	shift
	mkdir -p "$BUILD/user"
	echo 'int copied(const char *from); int main(int argc, char **argv) { return argc + copied(*argv); }' \
		>"$BUILD/user/main.c"
	echo '#include <string.h>
		int copied(const char *from) { char to[64]; return strcpy(to, from)[0] + (int)strlen(to); }' \
		>"$BUILD/copied.c"
	local flags=(-O2 -fPIE -fstack-protector-strong -fcf-protection=full -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
	gcc "${flags[@]}" "$@" -c "$BUILD/user/main.c" -o "$BUILD/user/main.o"
	gcc "${flags[@]}" "$@" -c "$BUILD/copied.c" -o "$BUILD/copied.o"
	ar rcs "$BUILD/libsidestep.a" "$BUILD/copied.o"
	gcc -pie -Wl,-z,relro,-z,now "$@" "$BUILD/user/main.o" "$BUILD/libsidestep.a" -o "$BUILD/sidestep"
}

@test "hardening: each protection that the program or an object lacks" {
	[ "$(uname -m)" = x86_64 ] || skip "the flags are x86's"
	linked all
	passes hardening
	linked fixed -fno-pie -no-pie
	refused hardening "not position independent"
	linked lazy -Wl,-z,lazy
	refused hardening "binds lazily"
	linked writable -Wl,-z,norelro
	refused hardening "its relocations stay writable"
	linked stack -Wl,-z,execstack
	refused hardening "its stack is executable"
	linked unchecked -fno-stack-protector
	refused hardening "no object checks its stack"
	linked unfortified -U_FORTIFY_SOURCE
	refused hardening "no object calls a function with checked sizes"
	linked branches -fcf-protection=none
	refused hardening "user/main.o: no protected branches"
	[[ $output == *"libsidestep.a(copied.o): no protected branches"* ]]
	rm "$BUILD/sidestep"
	refused hardening "sidestep: not there; run: make"
}

@test "hardening: one object of many that was built without the flags" {
	[ "$(uname -m)" = x86_64 ] || skip "the flags are x86's"
	linked many
	echo 'int plain(void); int plain(void) { return 0; }' >"$BUILD/plain.c"
	gcc -fPIE -fcf-protection=none -c "$BUILD/plain.c" -o "$BUILD/plain.o"
	ar rcs "$BUILD/libsidestep.a" "$BUILD/plain.o"
	refused hardening "libsidestep.a(plain.o): no protected branches"
	[[ $output != *"copied.o"* ]]
}

@test "tidy: a file is analysed again when it, a header or the tool's options change" {
	git rm -rq user tests/unit
	mkdir -p user/lib build
	printf '#define LIMIT 1\n' >user/lib/limit.h
	printf '#include "lib/limit.h"\nint limit(void);\nint limit(void) { return LIMIT; }\n' >user/lib/limit.c
	printf 'int other(void);\nint other(void) { return 0; }\n' >user/lib/other.c
	printf '#!/bin/sh\n[ "$1" = --version ] || echo "$2" >>"%s"\nexec clang-tidy "$@"\n' "$BATS_TEST_TMPDIR/calls" \
		>"$BATS_TEST_TMPDIR/counted"
	chmod +x "$BATS_TEST_TMPDIR/counted"
	analysed() { # CHECK-RESULT FILES
		: >"$BATS_TEST_TMPDIR/calls"
		run env BUILD=build CLANG_TIDY="$BATS_TEST_TMPDIR/counted" tests/lint.sh tidy
		echo "$output"
		[[ ${lines[1]} == "$1 1 tidy" ]]
		[ "$(sort "$BATS_TEST_TMPDIR/calls" | xargs)" = "$2" ]
	}
	analysed ok "user/lib/limit.c user/lib/other.c"
	analysed ok ""
	printf '#define LIMIT 2\n' >user/lib/limit.h
	analysed ok "user/lib/limit.c"
	echo '# a comment' >>.clang-tidy
	analysed ok "user/lib/limit.c user/lib/other.c"
	CI=true analysed ok "user/lib/limit.c user/lib/other.c"
	# A failure is not kept.
	printf 'int other(int x);\nint other(int x) { return x == x; }\n' >user/lib/other.c
	analysed "not ok" "user/lib/other.c"
	[[ $output == *"misc-redundant-expression"* ]]
	analysed "not ok" "user/lib/other.c"
}

@test "prose of C: comments, messages in parts, and help texts" {
	prose_of a.c <<-END
		/* $(words 25). $(words 25). */
		/*
		 * One two:
		 *
		 *	code $(words 30)
		 *
		 * NAME     $(words 13)
		 *          $(words 13)
		 * - an item
		 * @value: What it means.
		 */
		// $(words 20)
		// $(words 6)
		char *a = "$(words 20) " PRIu32 " "
			  "$(words 6)";
		char *b = "$(words 12)\\n$(words 14)";
		char c = '"';
		char *d = "Who calls?";
	END
	[ "$status" = 1 ]
	[ "$(grep -oE 'a\.c:[0-9]+: [^:]*' <<<"$output" | xargs)" = "a.c:7: 26 words a.c:10: begins with a clause \
a.c:12: 26 words a.c:14: 27 words a.c:16: 26 words" ]
}

@test "prose of pages: paragraphs, cells, items and quotes, but no code" {
	prose_of a.md <<-END
		# $who is it for

		$(words 20)
		$(words 6)

		| a | What it is |
		|---|---|
		| $(words 20) | $(words 20) |

		- $(words 20)
		- $(words 20)
		  $(words 6)

		> What a quote.

		    $(words 30)

		\`\`\`
		$(words 30)
		\`\`\`
		A [$(words 20)](https://a.test/1 2) and \`$(words 20)\`, e.g. i.e. 1.5 etc. five ... six.
	END
	[ "$status" = 1 ]
	[ "$(grep -oE 'a\.md:[0-9]+: [^:]*' <<<"$output" | xargs)" = "a.md:1: begins with a clause a.md:3: 26 words \
a.md:6: begins with a clause a.md:11: 26 words a.md:14: begins with a clause a.md:21: 29 words" ]
}

@test "prose of scripts: comments, titles and messages" {
	# bats takes a line that begins so for a test of this file.
	local at=@
	prose_of a.bats <<-END
		#!/usr/bin/env bats
		# call NAME [ARGUMENT...] - $(words 25).
		# $(words 20)
		# $(words 6)
		call() {
			local a='# What' b="# Who" # $what it holds
			fail "$(words 26)"
			echo "$who knows."
		}
		${at}test "what is a title" {
		${at}test "$(words 25)" {
	END
	[ "$status" = 1 ]
	[ "$(grep -oE 'a\.bats:[0-9]+: [^:]*' <<<"$output" | xargs)" = "a.bats:2: 26 words a.bats:6: begins with a clause \
a.bats:7: 26 words a.bats:8: begins with a clause a.bats:10: begins with a clause" ]
}

@test "prose of Python, Makefiles and scripts without a suffix" {
	prose_of a.py <<-END
		"""Summary.

		$(words 26).
		"""
		# $what is it
	END
	[ "$(wc -l <<<"$output")" = 2 ]
	prose_of Makefile <<-END
		# ${what}ever is built
		help:
			@echo "make all     $(words 26)"
	END
	[ "$(wc -l <<<"$output")" = 2 ]
	prose_of run <<<$'#!/usr/bin/env python3\n"""What it does."""'
	[ "$status" = 1 ]
	prose_of init <<<$'#!/bin/sh\n# What it does.'
	[ "$status" = 1 ]
	prose_of data <<<"What it does."
	[[ $output == "prose: no file was read" ]]
}
