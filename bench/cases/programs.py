# SPDX-License-Identifier: Apache-2.0
"""The cost of our BPF programs for steered traffic: ns per run, runs per packet."""

from harness import bpf_stats
from harness.place import Box

TITLE = "BPF programs under steered traffic"
ORDER = 11
CLAIMS = ()

WORKLOADS = (("connections", "connect", {"clients": 32}), ("bulk up", "upload", {}),
             ("bulk down", "download", {}), ("ping-pong", "pingpong", {}))


def run(bench):
    with Box("programs", True) as box:
        box.sink("--steer", "bpf")
        for workload, load, options in WORKLOADS:
            with bpf_stats.counting() as stats:
                before = stats.programs(), packets(box)
                box.client(load, seconds=bench.seconds, **options)
                after = stats.programs(), packets(box)
            count = max(1, after[1] - before[1])
            programs = bpf_stats.difference(before[0], after[0])
            bench.record("programs", workload, "sidestep", "pinned", 0, {
                "bpf_ns_per_packet": sum(entry["ns"] for entry in programs.values()) / count,
                "bpf_runs_per_packet": sum(entry["runs"] for entry in programs.values()) / count,
                "packets": count, "programs": programs})


def packets(box):
    """Counts the packets that lo carried. Each one sent there is also received there."""
    line = next(line for line in box.container.run("cat", "/proc/net/dev").splitlines()
                if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[1])
