# SPDX-License-Identifier: Apache-2.0
"""Runs and run time of BPF programs (kernel.bpf_stats_enabled), as bpftool shows them."""

import contextlib
import json
import os
import subprocess

from harness.place import REPO, Unavailable

SWITCH = "/proc/sys/kernel/bpf_stats_enabled"


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
        """{id: (name, runs, ns)} of every program on the machine."""
        text = subprocess.run([self.tool, "-j", "prog", "show"], capture_output=True, text=True,
                              check=True).stdout
        return {program["id"]: (program.get("name", str(program["id"])), program.get("run_cnt", 0),
                                program.get("run_time_ns", 0)) for program in json.loads(text)}


@contextlib.contextmanager
def counting():
    """Counts while it is open; the switch is put back as it was."""
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
    """{name: {runs, ns, ns_per_run}} of what ran in between."""
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
