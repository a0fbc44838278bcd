# SPDX-License-Identifier: Apache-2.0
"""Resident memory: idle, for each idle connection, under load."""

import time

from harness.place import Box, HarnessError, Unavailable
from harness.sidestep import sidecar
from cases.many import hold

TITLE = "memory"
ORDER = 30
CLAIMS = ("memory-idle", "memory-connection")

CONNECTIONS = 5000


def settled(process):
    """Returns the memory of a process that has ended its start: what only that needed is given back
    soon after the interception is live."""
    last, seen = process.memory(), 0
    for _ in range(200):
        time.sleep(0.01)
        now = process.memory()
        seen = seen + 1 if now == last else 0
        if seen == 20:
            return now
        last = now
    raise HarnessError(f"the memory of the idle sidecar goes on changing: {last}")


def run(bench):
    with Box("memory", False) as box:
        try:
            process = sidecar(box, "--tls-intercept", "--ca-dir", f"{box.directory}/ca")
        except Unavailable as error:
            bench.claim("memory-idle", None, reason=f"with --tls-intercept: {error}")
            process = sidecar(box)
        else:
            memory = settled(process)
            bench.record("memory", "idle, TLS and DNS on", "sidestep", "unpinned", 0,
                         {"rss_mb": memory["VmRSS"] / 1e6,
                          "rss_anonymous_mb": memory["RssAnon"] / 1e6})
            bench.claim("memory-idle", memory["VmRSS"] / 1e6,
                        detail=f"of it anonymous: {memory['RssAnon'] / 1e6:.2f} MB; the rest is the "
                               "program and its libraries")
    with Box("memory", False) as box:
        process = sidecar(box)
        # The first connections also allocate memory that is needed only once.
        box.client("http", clients=32, seconds=0.2)
        idle = process.memory()["VmRSS"]
        with hold(box, CONNECTIONS) as held:
            grown = process.memory()["VmRSS"] - idle
        each = grown / held
        bench.record("memory", "idle connections", "sidestep", "unpinned", 0,
                     {"bytes_per_connection": each, "connections": held})
        bench.claim("memory-connection", each, detail=f"{held} connections that had one request")
        box.client("http", clients=128, seconds=bench.seconds)
        box.client("keepalive", clients=1000, seconds=bench.seconds)
        box.client("upload", seconds=bench.seconds)
        bench.record("memory", "under load, peak", "sidestep", "unpinned", 0,
                     {"rss_mb": process.memory()["VmHWM"] / 1e6})
