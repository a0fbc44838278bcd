# SPDX-License-Identifier: Apache-2.0
"""Bypassed traffic: the connected bridge, with Sidestep in the container and without. Counts how
often, and for how long, BPF programs run for each packet of it."""

from competitors import routing
from harness import bpf_stats
from harness.place import Box
from harness.sidestep import sidecar

TITLE = "bypassed traffic on the connected bridge"
ORDER = 10
CLAIMS = ("bypass-ratio", "bypass-bpf")

CASE = "bypass"
WITHOUT, AGAIN, WITH = "without sidestep", "without sidestep again", "with sidestep"
# The bound: the rate without any program.
RULES = "routing rules alone"
# (name, load, options, metric, whether more is better)
WORKLOADS = (
    ("connections", "connect", {"clients": 32}, "rate", True),
    ("bulk up", "upload", {}, "gbit_s", True),
    ("bulk down", "download", {}, "gbit_s", True),
    ("ping-pong", "pingpong", {}, "p50_us", False),
)


def run(bench):
    for mode in bench.modes:
        with Box("without", mode == "pinned") as without, Box("again", mode == "pinned") as again, \
                Box("rules", mode == "pinned") as rules, Box("with", mode == "pinned") as ours:
            sidecar(ours)
            rules.container.ip(routing.RULES)
            for box in (without, again, rules, ours):
                box.target = box.LINK
            bench.interleave(CASE, ((WITHOUT, without), (AGAIN, again), (RULES, rules), (WITH, ours)),
                             [workload[:3] for workload in WORKLOADS], mode)
            if mode == "pinned":
                bpf(bench, ours)
    claim(bench)


def claim(bench):
    found, detail, noises = {"pinned": [], "unpinned": []}, {}, []
    bounds = {}
    for workload, _, _, metric, more in WORKLOADS:
        for mode in bench.modes:
            ratio = bench.ratio(CASE, workload, metric, WITH, WITHOUT, mode)
            ratio = ratio if more else 1 / ratio
            found[mode].append(ratio)
            if mode == "pinned":
                bound = bench.ratio(CASE, workload, metric, RULES, WITHOUT, mode)
                bounds[ratio] = bound if more else 1 / bound
            detail[f"{workload}, {mode}"] = round(ratio, 3)
        # A twin's box differs by chance too, which is the noise floor here.
        floor = bench.ratio(CASE, workload, metric, AGAIN, WITHOUT)
        noises += [max(abs(floor - 1), bench.spread_of_ratio(CASE, workload, metric, AGAIN,
                                                             WITHOUT))]
    measured = min(found["pinned"])
    bench.claim("bypass-ratio", measured, max(noises),
                unpinned=min(found["unpinned"], default=None), detail=detail,
                bound=bounds[measured])


def bpf(bench, box):
    """Takes a run of its own, because counting costs time itself."""
    worst = 0.0
    for workload, load, options, _, _ in WORKLOADS:
        with bpf_stats.counting() as stats:
            before = stats.programs(), packets(box)
            box.client(load, seconds=bench.seconds, **options)
            after = stats.programs(), packets(box)
        count = max(1, after[1] - before[1])
        programs = bpf_stats.difference(before[0], after[0])
        values = {
            "bpf_ns_per_packet": sum(program["ns"] for program in programs.values()) / count,
            "bpf_runs_per_packet": sum(program["runs"] for program in programs.values()) / count,
            "packets": count, "programs": programs,
        }
        bench.record(CASE, f"BPF, {workload}", WITH, "pinned", 0, values)
        worst = max(worst, values["bpf_ns_per_packet"])
    bench.claim("bypass-bpf", worst, bound=bpf_stats.floor(),
                detail="the worst workload; both directions' packets counted. The bound is what "
                       "counting itself takes")


def packets(box):
    """Counts packets sent and received by the container's device. A packet that is segmented later
    counts once, as a BPF program sees it."""
    line = next(line for line in box.container.run("cat", "/proc/net/dev").splitlines()
                if line.strip().startswith("eth0:"))
    numbers = line.split(":")[1].split()
    return int(numbers[1]) + int(numbers[9])
