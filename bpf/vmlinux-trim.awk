# SPDX-License-Identifier: Apache-2.0
# Trims the C that `bpftool btf dump ... format c` prints. It keeps the definitions that the variable
# `roots` names, and the types that these hold by value. A pointer's use declares its target.
# It reads the same input twice: awk -v roots="..." -f vmlinux-trim.awk full.h full.h

function define(kind_and_name) {
	block[kind_and_name] = text
	order[++count] = kind_and_name
}

function finish(  line, words) {
	if (text ~ /^typedef/) {
		line = text
		sub(/;[ \n]*$/, "", line)
		sub(/(\[[0-9]*\])+$/, "", line)
		if (match(line, /\(\*[A-Za-z_0-9]+\)/))
			define(substr(line, RSTART + 2, RLENGTH - 3))
		else if (match(line, /[A-Za-z_0-9]+$/))
			define(substr(line, RSTART, RLENGTH))
	} else if (text ~ /^(struct|union|enum) [A-Za-z_0-9]+ \{/) {
		split(text, words, " ")
		define(words[1] " " words[2])
	}
	text = ""
}

# The first pass splits the input into blocks. A block ends at the first line that closes at column 0.
NR == FNR {
	if (text == "" && $0 !~ /^(typedef|struct|union|enum)/)
		next
	text = text $0 "\n"
	if ($0 ~ /^(typedef|struct|union|enum).*;$/ || $0 ~ /^\}.*;$/)
		finish()
	next
}

{ exit }

function need(name,  lines, total, i, words, n, j) {
	if (name in needed || !(name in block))
		return
	needed[name] = 1
	total = split(block[name], lines, "\n")
	for (i = 1; i <= total; i++) {
		n = split(lines[i], words, /[^A-Za-z_0-9*]+/)
		for (j = 1; j <= n; j++) {
			if ((words[j] == "struct" || words[j] == "union" || words[j] == "enum") && j < n) {
				if (words[j] == "enum" || words[j + 2] !~ /^\*/)
					need(words[j] " " words[j + 1])
			} else {
				need(words[j])
			}
		}
	}
}

END {
	total = split(roots, root, ",")
	for (i = 1; i <= total; i++) {
		if (!(root[i] in block)) {
			print "vmlinux-trim: " root[i] " is not in this kernel" > "/dev/stderr"
			exit 1
		}
		need(root[i])
	}
	for (i = 1; i <= count; i++)
		if (order[i] in needed)
			printf "%s\n", block[order[i]]
}
