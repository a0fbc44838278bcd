#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/run.sh [--light] FILE... - runs unit test programs, .bats files and scripts that print TAP.
#
# JOBS of them run at once (default: two for each processor, at most 8, because most tests wait more than they
# compute). Scripts and long .bats files start first, so that none is left alone at the end. Tests with the
# bats tag `alone` measure time or memory, so they run last and one file at a time. --light leaves out tests with
# the tag `heavy`, for a slow machine (tests/kernels).
#
# Prints the output of each file in the order of the arguments, the ten files that took longest, the
# failures and the skips. The last line is: N passed, N failed, N skipped. A file fails when it ends with a
# status other than 0, prints another number of results than it planned, or takes too long. A skip must give
# its reason, the missing feature. In CI (CI=true) every skip fails.
set -u

cd "$(dirname "$0")/.." || exit 1
if [ -z "${JOBS:-}" ]; then
	JOBS=$(($(nproc) * 2))
	[ "$JOBS" -le 8 ] || JOBS=8
fi
light=
if [ "${1:-}" = --light ]; then
	light='!heavy'
	shift
fi

folder=$(mktemp -d)
declare -A running=() # process: job
stop() {
	# timeout(1) passes the signal on to all that it started.
	[ ${#running[@]} = 0 ] || kill "${!running[@]}" 2>/dev/null
	rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# A job is a file, and for .bats files the tags of the tests to run.
files=() filters=() names=() began=() took=() statuses=()
add_job() { # FILE TAGS NAME
	files+=("$1") filters+=("$2${2:+${light:+,}}$light") names+=("$3")
}

has_tag() { # SCOPE TAG FILE
	grep -qE "^# bats $1_tags=([a-z,]*,)?$2(,|$)" "$3" 2>/dev/null
}

# limit_of FILE - prints how many seconds it may take. LIMIT overrides it.
limit_of() {
	if [ -n "${LIMIT:-}" ]; then
		echo "$LIMIT"
		return
	fi
	case $1 in
	*.bats | */lint.sh) echo 1800 ;;
	*) echo 300 ;;
	esac
}

start_job() {
	local file=${files[$1]} command
	case $file in
	*.bats) command=(bats --tap ${filters[$1]:+--filter-tags "${filters[$1]}"} "$file") ;;
	*) command=(env CMOCKA_MESSAGE_OUTPUT=TAP "$file") ;;
	esac
	timeout --kill-after=10 "$(limit_of "$file")" "${command[@]}" </dev/null >"$folder/$1" 2>&1 &
	running[$!]=$1
	began[$1]=${EPOCHREALTIME/[.,]/}
}

end_job() {
	local process='' status=0 job
	wait -n -p process "${!running[@]}" 2>/dev/null || status=$?
	if [ -z "${process:-}" ]; then
		# bash forgets the job, but not the status, of a process that a signal ended between two waits.
		for process in "${!running[@]}"; do
			kill -0 "$process" 2>/dev/null || break
		done
		status=0
		wait "$process" || status=$?
	fi
	job=${running[$process]}
	unset "running[$process]"
	took[job]=$(((${EPOCHREALTIME/[.,]/} - began[job]) / 100000))
	statuses[job]=$status
}

# print_jobs - prints the output of what has ended, up to the first job that has not.
printed=0
print_jobs() {
	while [ -n "${statuses[printed]:-}" ]; do
		printf '# %s (%d.%d s)\n' "${names[printed]}" $((took[printed] / 10)) $((took[printed] % 10))
		cat "$folder/$printed"
		count "$printed"
		printed=$((printed + 1))
	done
}

# count JOB - adds its results to the totals.
passed=0 failed=0 skipped=0
failures=() skips=()
count() {
	local line previous='' plan=0 ok=0 bad=0 skip=0 name=${names[$1]} status=${statuses[$1]} fault='' reason
	while IFS= read -r line; do
		case $line in
		1..*) plan=$((plan + ${line#1..})) ;;
		# bats gives the reason of a skip behind it, a unit test in the line before.
		"ok "*"# skip"* | "not ok "*"# SKIP"*)
			reason=${line##*# skip}
			if [[ $line == not* ]]; then
				reason=$previous
				[[ ! $previous =~ ^((not )?ok |1\.\.|#) ]] || reason=
			fi
			if [ -n "$reason" ]; then
				skip=$((skip + 1))
				skips+=("$name: ${line#*ok }: $reason")
			else
				bad=$((bad + 1))
				failures+=("$name: a skip without a reason: $line")
			fi
			;;
		"ok "*) ok=$((ok + 1)) ;;
		"not ok "[0-9]*)
			bad=$((bad + 1))
			failures+=("$name: ${line#not ok }")
			;;
		esac
		previous=$line
	done <"$folder/$1"
	if [ "$status" = 124 ]; then
		fault="took longer than $(limit_of "${files[$1]}") s"
	elif [ $((ok + bad + skip)) != $plan ]; then
		fault="$((ok + bad + skip)) results of $plan planned, exit status $status"
	elif [ "$status" != 0 ] && [ $bad = 0 ]; then
		fault="exit status $status"
	elif [ $plan = 0 ] && [ -z "${filters[$1]}" ]; then
		fault="no test"
	fi
	if [ -n "$fault" ]; then
		bad=$((bad + 1))
		failures+=("$name: $fault")
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

for file; do
	if has_tag file alone "$file"; then
		continue
	elif has_tag test alone "$file"; then
		add_job "$file" '!alone' "$file"
	else
		add_job "$file" '' "$file"
	fi
done
together=${#files[@]}
for file; do
	if has_tag file alone "$file"; then
		add_job "$file" '' "$file"
	elif has_tag test alone "$file"; then
		add_job "$file" alone "$file, tests that run alone"
	fi
done

# length_of FILE - prints a guess at how long it takes: the size of a .bats file. Other scripts analyse the whole
# tree. Unit tests are short.
length_of() {
	case $1 in
	*.bats) wc -c <"$1" ;;
	*.sh) echo 1000000 ;;
	*) echo 0 ;;
	esac
}

# start_order - prints the jobs that run together, the longest first, and then the others.
start_order() {
	local job
	for ((job = 0; job < together; job++)); do
		printf '%s %s\n' "$(length_of "${files[job]}")" "$job"
	done | sort -k1,1nr -k2,2n | cut -d' ' -f2
	seq "$together" $((${#files[@]} - 1))
}

began_all=$SECONDS
for job in $(start_order); do
	limit=$JOBS
	[ "$job" -lt "$together" ] || limit=1
	while [ ${#running[@]} -ge "$limit" ]; do
		end_job
		print_jobs
	done
	start_job "$job"
done
while [ ${#running[@]} -gt 0 ]; do
	end_job
	print_jobs
done

printf '# %d s in all; the longest:\n' $((SECONDS - began_all))
for ((job = 0; job < ${#files[@]}; job++)); do
	printf '#%6d.%d s  %s\n' $((took[job] / 10)) $((took[job] % 10)) "${names[job]}"
done | sort -k2,2nr -t'#' | head
status=0
for line in ${failures[@]+"${failures[@]}"}; do
	printf 'FAILED  %s\n' "$line"
	status=1
done
for line in ${skips[@]+"${skips[@]}"}; do
	printf 'SKIPPED %s\n' "$line"
	[ "${CI:-}" != true ] || status=1
done
[ ${#skips[@]} = 0 ] || [ "${CI:-}" != true ] || printf 'A skip fails in CI.\n'
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit $status
