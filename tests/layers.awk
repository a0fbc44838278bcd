# SPDX-License-Identifier: Apache-2.0
# Holds the includes of user/ against user/LAYERS, and finds circles of includes within a folder.
#
# awk -f tests/layers.awk user/LAYERS FILE... takes all *.c and *.h below user/. It prints FILE:LINE and
# the fault for each violation. Status 1 when there is one.
#
# A module is X.c with X.h and X_private.h. Two modules of a folder may not include each other, not even
# through others. Only .c files that stand in user/ itself may include every folder.

function fault(text) {
	print text
	faults++
}

# layer LINE - reads "folder: others"; each of the others stands on an earlier line.
function layer(line, names, count, i) {
	count = split(line, names, /[: \t]+/)
	for (i = 2; i <= count; i++) {
		if (names[i] == "")
			continue
		if (!(names[i] in layers))
			fault(FILENAME ":" FNR ": " names[i] " does not stand on an earlier line")
		allowed[names[1], names[i]] = 1
	}
	layers[names[1]] = 1
}

function module(path) {
	sub(/^user\//, "", path)
	sub(/(_private)?\.[ch]$/, "", path)
	return path
}

function folder(path) {
	return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : ""
}

function include(path, from, to, text) {
	text = FILENAME ":" FNR ": include \"" path "\""
	from = folder(module(FILENAME))
	to = folder(path)
	if (path ~ /\/.*\// || path ~ /^\./)
		fault(text " is not of the form folder/file.h")
	else if (to == "" && path !~ /^(commands|sidestep|[a-z_]+\.skel)\.h$/)
		fault(text " names no folder")
	else if (to != "" && !(to in layers))
		fault(text ": user/LAYERS has no line for " to)
	else if (to != "" && from == "" && FILENAME ~ /\.h$/)
		fault(text ": a header in user/ itself includes no folder")
	else if (to != "" && from != "" && to != from && !((from, to) in allowed))
		fault(text ": " from " may not include " to)
	else if (to != "" && to == from && module(path) != module(FILENAME))
		uses[module(FILENAME)] = uses[module(FILENAME)] " " module(path)
}

# circle MODULE WAY - visits what the module includes; WAY lists the modules that led here.
function circle(at, way, others, count, i) {
	state[at] = "open"
	way = way " " at
	count = split(uses[at], others, " ")
	for (i = 1; i <= count; i++) {
		if (state[others[i]] == "open")
			fault("user/" at ": circle of includes:" \
				substr(way, index(way " ", " " others[i] " ")) " " others[i])
		else if (state[others[i]] == "")
			circle(others[i], way)
	}
	state[at] = "done"
}

FILENAME ~ /LAYERS$/ {
	if ($0 !~ /^#/ && NF)
		layer($0)
	next
}

FNR == 1 {
	files[FILENAME] = 1
	modules[++count_of_modules] = module(FILENAME)
	name = folder(module(FILENAME))
	if (name != "" && !(name in layers) && !(name in missing)) {
		fault("user/LAYERS has no line for the folder " name)
		missing[name] = 1
	}
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, parts, "\"")
	include(parts[2])
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	split($0, parts, /[<>]/)
	angled[FILENAME ":" FNR] = parts[2]
}

END {
	for (place in angled)
		if (("user/" angled[place]) in files)
			fault(place ": include <" angled[place] "> takes quotes")
	for (i = 1; i <= count_of_modules; i++)
		if (state[modules[i]] == "")
			circle(modules[i], "")
	if (!count_of_modules)
		fault("no file was read")
	exit faults > 0
}
