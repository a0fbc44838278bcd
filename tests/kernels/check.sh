#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of the datapaths under the kernels of other Debian releases.
#
#   [TESTS="FILE..."] [JOBS=N] tests/kernels/check.sh [SUITE...]   default: all of $tests and of $suites
#
# Each file runs in a virtual machine of its own, N of them at once (default: one for each processor). A machine
# has no network, reads this machine's files and writes to memory. It is emulated (TCG), so that it runs without
# nested virtualisation. A /dev/kvm is no sign of that: the one of pagetable virtual machines (the module kvm_pvm)
# runs only kernels with CONFIG_PVM_GUEST, and any other hangs.
#
# The machine's clock counts its instructions, a nanosecond for each, and goes on by itself only while the machine
# is idle. So the tests' time limits and the program's mean the same on a slow host and under load.
#
# Prints the output of each file when it has ended, and all failures. The last line is: N passed, N failed, N skipped.
set -u

suites=(bullseye bookworm trixie forky) # Linux 5.10, 6.1, 6.12 and newer
limit=14400				# seconds of the host's clock, for a machine that hangs

cd "$(dirname "$0")/../.." || exit 1
repo=$PWD build=${BUILD:-build}
tests=("$build/tests/test_programs" "$build/tests/test_programs_inbound" tests/datapath_bpf.bats
	tests/datapath_nft.bats tests/sidecar.bats tests/nft.bats tests/agent.bats)
[ -z "${TESTS-}" ] || read -r -a tests <<<"$TESTS"
folder=$(mktemp -d)
stop() {
	# shellcheck disable=SC2046 # a list of words
	kill $(jobs -p) 2>/dev/null
	wait
	rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# machine KERNEL FILE LOG - runs the file in a machine of its own. It ends with this shell.
#
# Emulation decides how its processor looks. There is one, because host processors that are busy leave several
# waiting for each other's locks. String instructions are emulated byte by byte (erms, fsrm). SMAP changes
# the mode of each access to user memory. Kernels defend themselves against faults that it does not have
# (mitigations), and trust its clock only when they are told to (tsc).
machine() {
	cat >"$3.run" <<-SCRIPT
		printf '# Linux %s\n' "\$(uname -r)"
		"$repo/tests/kernels/inside.sh" "$1/root" "$2"
		echo o >/proc/sysrq-trigger
		sleep 60
	SCRIPT
	exec setpriv --pdeathsig TERM -- timeout "$limit" qemu-system-x86_64 -machine q35 -accel tcg,tb-size=1024 \
		-icount shift=0,sleep=on -rtc clock=vm -cpu max,la57=off,smap=off,smep=off,erms=off,fsrm=off -smp 1 -m 3G \
		-nographic -no-reboot -nic none -kernel "$1/vmlinuz" -initrd "$1/initrd" \
		-append "console=ttyS0 loglevel=1 panic=-1 mitigations=off tsc=reliable sidestep=$3.run" \
		-virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
		</dev/null >"$3" 2>&1
}

# report LOG TITLE - prints what a machine has printed, and adds its results to the totals.
passed=0 failed=0 skipped=0 failures=()
report() {
	local line
	printf '# %s\n' "$2"
	# The firmware clears its screen.
	sed 's/\r$//; s/\x1b[^a-zA-Z]*[a-zA-Z]//g' "$1"
	while IFS= read -r line; do
		failures+=("FAILED  $2: ${line#FAILED  }")
	done < <(grep -a '^FAILED' "$1" | tr -d '\r')
	# The kernel says that it powers off behind the totals.
	if [[ $(tail -n 5 "$1") =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped ]]; then
		passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
		skipped=$((skipped + BASH_REMATCH[3]))
	else
		failures+=("FAILED  $2: the machine did not come to its end")
		failed=$((failed + 1))
	fi
}

declare -A running=() # process: LOG TITLE
end_one() {
	local process log title
	wait -n -p process "${!running[@]}"
	read -r log title <<<"${running[$process]}"
	unset "running[$process]"
	report "$log" "$title"
}

for suite in "${@:-${suites[@]}}"; do
	if ! kernel=$(tests/deps.sh "kernel-$suite"); then
		failures+=("FAILED  $suite: no kernel")
		failed=$((failed + 1))
		continue
	fi
	for file in "${tests[@]}"; do
		[ ${#running[@]} -lt "${JOBS:-$(nproc)}" ] || end_one
		log=$folder/$suite-${file##*/}
		machine "$kernel" "$file" "$log" &
		running[$!]="$log $suite, $file"
	done
done
while [ ${#running[@]} -gt 0 ]; do
	end_one
done
[ ${#failures[@]} = 0 ] || printf '%s\n' "${failures[@]}"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
