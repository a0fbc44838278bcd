#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of the datapaths under the kernels of other Debian releases.
#
#   tests/kernels/check.sh [SUITE...]   default: all of $suites
#
# Each kernel runs in a virtual machine that has no network, reads this machine's files and writes to memory. The
# machines are emulated (TCG), so that they run without nested virtualisation. A /dev/kvm is no sign of that: the one
# of pagetable virtual machines (the module kvm_pvm) runs only kernels with CONFIG_PVM_GUEST, and any other hangs. All
# together take an hour. The last line is: N passed, N failed, N skipped.
set -u

suites=(bullseye bookworm trixie forky) # Linux 5.10, 6.1, 6.12 and newer
limit=2400				# seconds for one machine

cd "$(dirname "$0")/../.." || exit 1
repo=$PWD build=${BUILD:-build}
tests=("$build/tests/test_programs" "$build/tests/test_programs_inbound" tests/datapath_bpf.bats
	tests/datapath_nft.bats tests/sidecar.bats tests/nft.bats tests/agent.bats)
log=$(mktemp)
trap 'rm -f "$log" "$log.run"' EXIT
passed=0 failed=0 skipped=0

for suite in "${@:-${suites[@]}}"; do
	printf '# %s\n' "$suite"
	if ! kernel=$(tests/deps.sh "kernel-$suite"); then
		failed=$((failed + 1))
		continue
	fi
	# The virtual machine reads this file below $TMPDIR.
	cat >"$log.run" <<-SCRIPT
		uname -r
		"$repo/tests/kernels/inside.sh" "$kernel/root" ${tests[*]}
		echo o >/proc/sysrq-trigger
		sleep 60
	SCRIPT
	timeout "$limit" qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 2 -m 3G -nographic \
		-no-reboot -nic none -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
		-append "console=ttyS0 quiet panic=-1 sidestep=$log.run" \
		-virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
		</dev/null 2>&1 | sed -u 's/\r$//' | tee "$log"
	if [[ $(tail -n 5 "$log") =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped ]]; then
		passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
		skipped=$((skipped + BASH_REMATCH[3]))
	else
		printf 'FAILED  %s: the machine did not come to its end\n' "$suite"
		failed=$((failed + 1))
	fi
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
