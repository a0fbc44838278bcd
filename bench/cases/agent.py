# SPDX-License-Identifier: Apache-2.0
"""1 to 200 namespaces on one agent: how long each takes, what each costs in memory."""

import time

from harness.place import Box, HarnessError, Namespace
from harness.sidestep import LIVE, SERVED, agent, sidecar_command, without_rights

TITLE = "namespaces on one agent"
ORDER = 70
CLAIMS = ("agent-attach", "agent-memory")

COUNTS = (1, 20, 200)
LIMIT_S = 60


def container(box, number):
    """One more container on the box's bridge."""
    namespace = Namespace(f"{box.name}/{number}")
    box.namespaces.append(namespace)
    box.host.ip(f"""link add port{number} type veth peer name eth0 netns {namespace.path}
        link set port{number} master br0 up""")
    namespace.ip(f"""address add 172.31.{number // 200}.{number % 200 + 2}/16 dev eth0
        link set eth0 up
        route add default via 172.31.0.1""")
    return namespace


def wait_served(sidecars):
    """Until each of them says that it has the agent."""
    end = time.monotonic() + LIMIT_S
    waiting = list(sidecars)
    while waiting:
        waiting = [process for process in waiting if SERVED not in process.text()]
        if time.monotonic() > end:
            raise HarnessError(f"{len(waiting)} of {len(sidecars)} are not served after {LIMIT_S} s")
        time.sleep(0.002)


def measure(count):
    """(seconds from the agent's exec until all are served, its memory then)"""
    with Box("agent", False) as box:
        box.host.ip("address add 172.31.0.1/16 dev br0")
        command = without_rights(sidecar_command(box, "--agent-wait", "0", "--threads", "1"))
        sidecars = [box.spawn(*command, where=container(box, number)) for number in range(count)]
        try:
            for process in sidecars:
                process.wait_line(LIVE, LIMIT_S)
            start = time.monotonic()
            served_by = agent(box, sidecars)
            wait_served(sidecars)
            return time.monotonic() - start, served_by.memory()["VmRSS"]
        finally:
            # Killed together: one after another they would each take leave of the agent.
            for process in sidecars:
                process.popen.kill()


def run(bench):
    found = {count: measure(count) for count in COUNTS}
    first, most = COUNTS[0], COUNTS[-1]
    for count in COUNTS[1:]:
        seconds, memory = (end - begin for end, begin in zip(found[count], found[first]))
        bench.record("agent", f"{count} namespaces", "sidestep agent", "unpinned", 0,
                     {"attach_ms": seconds * 1e3 / (count - first),
                      "growth_kb": memory / 1e3 / (count - first)})
    bench.facts["agent"] = {f"{count} namespaces": {"seconds": round(seconds, 3),
                                                    "rss_mb": round(memory / 1e6, 2)}
                            for count, (seconds, memory) in found.items()}
    words = f"from {first} to {most} namespaces, all at once, their sidecars on nftables before"
    bench.claim("agent-attach", bench.median("agent", f"{most} namespaces", "sidestep agent",
                                             "unpinned", "attach_ms"), detail=words)
    bench.claim("agent-memory", bench.median("agent", f"{most} namespaces", "sidestep agent",
                                             "unpinned", "growth_kb"), detail=words)
