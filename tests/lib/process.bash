# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Processes of the test bed: part of testbed.bash.
#
# Each spawned process NAME has $BED_DIR/NAME.log with its stdout and stderr. $BED_DIR/proc has two files of it:
# NAME.pid is "PID START-TIME", because the kernel may give the number to another process. NAME.status is its
# exit status, once it has ended.

# Prints the start time of a process in clock ticks, or nothing for a zombie and a process that is gone.
_bed_start_time() {
	local stat fields
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	read -r -a fields <<<"${stat##*) }"
	[ "${fields[0]}" = Z ] || printf '%s\n' "${fields[19]}"
}

# bed_spawn WHERE NAME COMMAND... - starts it in the background in namespace WHERE (see bed_exec). Both outputs
# go to $BED_DIR/NAME.log, which starts empty. A NAME that runs already is an error. One that has ended may be
# used again.
bed_spawn() {
	local where=${1/#outside/world} name=$2 enter file=$BED_DIR/proc/$2
	shift 2
	if bed_alive "$name"; then
		bed_fail "'$name' runs already" || return
	fi
	if [ "$where" = engine ]; then
		enter=(nsenter --net="$BED_DIR/ns/engine" "--mount=/proc/$(_engine_holder)/ns/mnt" "--wd=$PWD" --)
	else
		[ -e "$BED_DIR/ns/$where" ] || bed_fail "no namespace '$where'" || return
		enter=(nsenter --net="$BED_DIR/ns/$where" --)
	fi
	rm -f "$file.pid" "$file.status"
	: >"$BED_DIR/$name.log"
	# The shell in between keeps the exit status. It closes all descriptors above 2, because bats waits until its
	# own are. Those of bats' caller would make the process count differently on each machine.
	# shellcheck disable=SC2016 # for the inner shell
	setsid bash -c '
		file=$1 log=$2
		shift 2
		for path in /proc/self/fd/*; do
			fd=${path##*/}
			[ "$fd" -le 2 ] || eval "exec $fd>&-"
		done
		"$@" >>"$log" 2>&1 &
		echo $! >"$file.new"
		wait $!
		status=$?
		echo $status >"$file.status.new"
		mv "$file.status.new" "$file.status"
	' bed "$file" "$BED_DIR/$name.log" "${enter[@]}" "$@" </dev/null >/dev/null 2>&1 &
	disown
	bed_until 5 test -s "$file.new" || bed_fail "'$name' did not start" || return
	printf '%s %s\n' "$(<"$file.new")" "$(_bed_start_time "$(<"$file.new")")" >"$file.pid"
	rm -f "$file.new"
}

# A wait for something that must come measures no speed. So bed_until, bed_wait_line and engine_wait_line wait for
# so many times the given seconds, and a machine that is slow or busy fails no test.
: "${BED_PATIENCE:=6}"

# _bed_until SECONDS COMMAND... - repeats it every 20 ms until it succeeds. Status 1: it never did.
_bed_until() {
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# bed_until SECONDS COMMAND... - the same for tests, with BED_PATIENCE, and with a message when the condition does not
# come true.
bed_until() {
	_bed_until $(($1 * BED_PATIENCE)) "${@:2}" || bed_fail "not within $1 * $BED_PATIENCE s: ${*:2}"
}

# bed_locked NAME COMMAND... - runs it while nobody else runs a command under this name, in any bed. For
# folders below build/ that several files of tests write.
bed_locked() {
	local lock=$BED_REPO/build/$1.lock
	shift
	(
		flock 9 || exit
		"$@" 9>&-
	) 9>"$lock"
}

# bed_pid NAME - prints the process's number; status 1 when there is none by that name.
bed_pid() {
	local pid started
	read -r pid started 2>/dev/null <"$BED_DIR/proc/$1.pid" || return
	printf '%s\n' "$pid"
}

# bed_alive NAME - succeeds while it runs.
bed_alive() {
	local pid started
	[ -f "$BED_DIR/proc/$1.pid" ] || return
	read -r pid started <"$BED_DIR/proc/$1.pid"
	[ -n "$started" ] && [ "$(_bed_start_time "$pid")" = "$started" ]
}

_bed_gone() {
	! bed_alive "$1"
}

_bed_line_or_end() {
	grep -E -m1 -e "$2" "$BED_DIR/$1.log" >/dev/null || _bed_gone "$1"
}

# bed_wait_line NAME PATTERN [SECONDS=5] - waits until a line of NAME's log matches the extended regular
# expression, and prints the first such line. Status 1, with the log's end on stderr, when the time is over (times
# BED_PATIENCE) or the process has ended without it.
bed_wait_line() {
	_bed_until $((${3:-5} * BED_PATIENCE)) _bed_line_or_end "$1" "$2" || true
	grep -E -m1 -e "$2" "$BED_DIR/$1.log" && return
	bed_fail "no line '$2' from '$1' ($(bed_alive "$1" && echo running || echo ended)):" || true
	tail -n 20 "$BED_DIR/$1.log" >&2
	return 1
}

# bed_log NAME - prints the log.
bed_log() {
	cat "$BED_DIR/$1.log"
}

# bed_value KEY [LINE] - prints the value of key=value in the line, or in stdin. Status 1: not there.
bed_value() {
	local line=${2-} word
	[ $# -gt 1 ] || line=$(cat)
	word=$(grep -oE "(^| )$1=[^ ]*" <<<"$line" | head -n 1) || return
	printf '%s\n' "${word#*=}"
}

# bed_signal NAME SIGNAL - sends it and does not wait. Status 1 when it does not run.
bed_signal() {
	bed_alive "$1" || return
	kill "-$2" "$(bed_pid "$1")"
}

# bed_kill NAME [SIGNAL=TERM] - sends it and waits for the end. Status 0 also when the process had ended before.
# Status 1: it survived and still runs.
bed_kill() {
	if ! bed_signal "$1" "${2:-TERM}"; then
		return 0
	fi
	bed_until 5 _bed_gone "$1" || bed_fail "'$1' survived SIG${2:-TERM}"
}

# bed_wait_exit NAME [SECONDS=60] - waits for the end and returns the process's status (128 + signal when it was
# killed), or 124 when it still runs. The seconds are exact, for tests of a limit.
bed_wait_exit() {
	_bed_until "${2:-60}" test -s "$BED_DIR/proc/$1.status" || return 124
	return "$(<"$BED_DIR/proc/$1.status")"
}

# Kills all spawned processes, and all processes with the bed's folder in their arguments. It spares our own
# ancestors.
_bed_kill_all() {
	local file
	for file in "$BED_DIR"/proc/*.pid; do
		[ -f "$file" ] || continue
		file=${file##*/}
		bed_signal "${file%.pid}" KILL || true
	done
	bed_until 5 _bed_kill_processes
}

# Kills them once. Status 0: there was none.
_bed_kill_processes() {
	local pids
	pids=$(_bed_processes | cut -d' ' -f1)
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086 # a list of words
	kill -KILL $pids 2>/dev/null
	return 1
}

# Prints the control groups of the bed, the inner ones first. A test may mount their file system on $BED_DIR/cgroup.
_bed_groups() {
	find /sys/fs/cgroup "$BED_DIR/cgroup/$BED_ID" -depth -type d -path "*/$BED_ID*" 2>/dev/null
}

# Kills all processes in them, such as an engine's containers.
_bed_kill_groups() {
	local group
	while read -r group; do
		# shellcheck disable=SC2046 # a list of words
		kill -KILL $(cat "$group/cgroup.procs" 2>/dev/null) 2>/dev/null
	done < <(_bed_groups)
	return 0
}

# Removes them. A group is busy until its last process is gone.
_bed_groups_gone() {
	_bed_kill_groups
	_bed_groups | xargs -r rmdir 2>/dev/null
	[ -z "$(_bed_groups)" ]
}

# Prints "PID COMMAND" of every process with the bed's folder in its arguments, except zombies and our own
# ancestors.
_bed_processes() {
	local pid=$BASHPID spared=" " path arguments files=(/proc/[0-9]*/cmdline)
	while [ "$pid" -gt 1 ] 2>/dev/null; do
		spared+="$pid "
		pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
	done
	while read -r path; do
		pid=${path#/proc/}
		pid=${pid%/cmdline}
		if [[ $spared != *" $pid "* && -n $(_bed_start_time "$pid") ]]; then
			arguments=$(tr '\0\n' '  ' 2>/dev/null <"$path")
			printf '%s %s\n' "$pid" "$arguments"
		fi
	done < <(grep -lF --file=- "${files[@]}" <<<"$BED_DIR/" 2>/dev/null)
}
