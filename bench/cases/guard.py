# SPDX-License-Identifier: Apache-2.0
"""The outer guard: bypassed and replied traffic of a container that the agent serves, with the guard
and without. It stands at the host's end of the container's veth."""

import json
import os
import signal

from harness.place import SIDESTEP, Box, HarnessError, find_program
from harness.sidestep import LIVE, SERVED, agent, sidecar_command, without_rights

TITLE = "the outer guard"
ORDER = 12
CLAIMS = ("guard-ratio",)

CASE = "guard"
WITHOUT, AGAIN, WITH = "without the guard", "without the guard again", "with the guard"
CONTAINER = "172.30.0.2"
# The host's connections to the container come from the internet.
OUTSIDE = "192.0.2.9"
TRIES = 20
SETTLED = "links have taken the place of all filters"
# (name, load, options, metric, whether more is better)
WORKLOADS = (
    ("connections", "connect", {"clients": 32}, "rate", True),
    ("bulk up", "upload", {}, "gbit_s", True),
    ("bulk down", "download", {}, "gbit_s", True),
    ("ping-pong", "pingpong", {}, "p50_us", False),
)


def serve(box, guarded):
    """Has the agent serve the box, and stops it then, so that it repairs nothing. Without the guard
    its links are unpinned, which detaches them. Returns the agent's process."""
    box.relay = box.spawn(*without_rights(sidecar_command(box, "--agent-wait", "0")))
    box.relay.wait_line(LIVE)
    served_by = agent(box, [box.relay], "--log-level", "debug")
    box.relay.wait_line(SERVED)
    served_by.wait_line(SETTLED)
    served_by.popen.send_signal(signal.SIGSTOP)
    pin = os.path.join(box.directory, "bpf", "agent")
    beside_agent = (find_program("nsenter"), f"--mount=/proc/{served_by.pid}/ns/mnt")
    if not guarded:
        box.host.run(*beside_agent, "find", os.path.join(pin, "links"), "-name", "host_*", "-delete")
    # The case compares nothing unless the guard is there, and is not. The kernel detaches later.
    for _ in range(TRIES):
        before = counted(box, beside_agent, pin)
        box.client("connect", seconds=0.05, target=box.LINK)
        if (counted(box, beside_agent, pin) > before) == guarded:
            break
    else:
        raise HarnessError(f"the guard is {'not ' if guarded else ''}attached")
    return served_by


def counted(box, beside_agent, pin):
    """Returns the number of packets that the guard let pass between bypassed subnets."""
    status = json.loads(box.host.run(*beside_agent, SIDESTEP, "status", "--pin", pin, "--json"))
    return next(instance["counters"]["bridge"] for instance in status
                if instance["mode"] == "outer guard")


def run(bench):
    for mode in bench.modes:
        pinned = mode == "pinned"
        with Box("without", pinned) as without, Box("again", pinned) as again, \
                Box("guard", pinned) as ours:
            boxes = ((WITHOUT, without), (AGAIN, again), (WITH, ours))
            agents = []
            try:
                for name, box in boxes:
                    box.host.ip(f"route add {CONTAINER} dev br0 src {OUTSIDE}")
                    box.sink("--listen")
                    agents.append(serve(box, name == WITH))
                measure(bench, boxes, mode)
            finally:
                for process in agents:
                    process.popen.send_signal(signal.SIGCONT)
    claim(bench)


def measure(bench, boxes, mode):
    for number in range(bench.rounds):
        for workload, load, options, _, _ in WORKLOADS:
            for name, box in boxes:
                bench.sample(CASE, f"bypassed, {workload}", name, mode, number, box, load,
                             target=box.LINK, **options)
            for name, box in boxes:
                bench.sample(CASE, f"replied, {workload}", name, mode, number, box, load,
                             target=CONTAINER, addresses=1, where=box.host, **options)


def claim(bench):
    found, detail, noises = {"pinned": [], "unpinned": []}, {}, []
    for kind in ("bypassed", "replied"):
        for workload, _, _, metric, more in WORKLOADS:
            name = f"{kind}, {workload}"
            for mode in bench.modes:
                ratio = bench.ratio(CASE, name, metric, WITH, WITHOUT, mode)
                if ratio is None:
                    continue
                ratio = ratio if more else 1 / ratio
                found[mode].append(ratio)
                detail[f"{name}, {mode}"] = round(ratio, 3)
            floor = bench.ratio(CASE, name, metric, AGAIN, WITHOUT)
            if floor is not None:
                noises.append(max(abs(floor - 1),
                                  bench.spread_of_ratio(CASE, name, metric, AGAIN, WITHOUT)))
    bench.claim("guard-ratio", min(found["pinned"], default=None), max(noises, default=0),
                unpinned=min(found["unpinned"], default=None), detail=detail)
