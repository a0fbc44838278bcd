# SPDX-License-Identifier: Apache-2.0
"""Reads runs and run time of BPF programs (kernel.bpf_stats_enabled), as bpftool shows them."""

import contextlib
import ctypes
import json
import os
import platform
import struct
import subprocess

from harness.place import REPO, Unavailable

SWITCH = "/proc/sys/kernel/bpf_stats_enabled"

# bpf(2), linux/bpf.h
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
BPF_PROG_LOAD, BPF_PROG_TEST_RUN = 5, 10
BPF_PROG_TYPE_SCHED_CLS = 3


def bpftool():
    found = subprocess.run([os.path.join(REPO, "tests", "deps.sh"), "bpftool"], capture_output=True,
                           text=True, check=False)
    if found.returncode != 0:
        raise Unavailable("no bpftool that runs here; run: tests/deps.sh build")
    return found.stdout.strip()


class Stats:
    def __init__(self):
        self.tool = bpftool()

    def programs(self):
        """Returns {id: (name, runs, ns)} of every program on the machine."""
        text = subprocess.run([self.tool, "-j", "prog", "show"], capture_output=True, text=True,
                              check=True).stdout
        return {program["id"]: (program.get("name", str(program["id"])), program.get("run_cnt", 0),
                                program.get("run_time_ns", 0)) for program in json.loads(text)}


@contextlib.contextmanager
def counting():
    """Counts while it is open. close() restores the switch."""
    stats = Stats()
    try:
        with open(SWITCH, encoding="ascii") as switch:
            before = switch.read().strip()
        with open(SWITCH, "w", encoding="ascii") as switch:
            switch.write("1")
    except OSError as error:
        raise Unavailable(f"cannot switch {SWITCH}: {error.strerror}") from error
    try:
        yield stats
    finally:
        with open(SWITCH, "w", encoding="ascii") as switch:
            switch.write(before)


def difference(before, after):
    """Returns {name: {runs, ns, ns_per_run}} of the programs that ran in between."""
    found = {}
    for number, (name, runs, nanoseconds) in after.items():
        _, runs_before, ns_before = before.get(number, (name, 0, 0))
        if runs > runs_before:
            entry = found.setdefault(name, {"runs": 0, "ns": 0})
            entry["runs"] += runs - runs_before
            entry["ns"] += nanoseconds - ns_before
    for entry in found.values():
        entry["ns_per_run"] = round(entry["ns"] / entry["runs"], 1)
    return found


def _bpf(command, attributes):
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        raise Unavailable(f"the number of bpf(2) on {platform.machine()} is not known here")
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(number, command, buffer, len(attributes))
    if result < 0:
        raise Unavailable(f"bpf(2): {os.strerror(ctypes.get_errno())}")
    return result


def floor(repeat=200000):
    """Returns the cost of counting itself: ns for each run of a program that does nothing."""
    instructions = struct.pack("=QQ", 0xb7, 0x95)  # r0 = 0; exit
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")
    frame = ctypes.create_string_buffer(64)
    with counting():
        program = _bpf(BPF_PROG_LOAD, struct.pack(
            "=IIQQ", BPF_PROG_TYPE_SCHED_CLS, len(instructions) // 8, ctypes.addressof(code),
            ctypes.addressof(licence)).ljust(48, b"\0"))
        try:
            _bpf(BPF_PROG_TEST_RUN, struct.pack(
                "=IIIIQQII", program, 0, len(frame), 0, ctypes.addressof(frame), 0, repeat,
                0).ljust(80, b"\0"))
            with open(f"/proc/self/fdinfo/{program}", encoding="ascii") as info:
                found = dict(line.split(":\t", 1) for line in info if ":\t" in line)
        finally:
            os.close(program)
    return int(found["run_time_ns"]) / max(1, int(found["run_cnt"]))
