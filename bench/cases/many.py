# SPDX-License-Identifier: Apache-2.0
"""1, 100, 10000 concurrent connections through the relay, each with a request under way."""

import contextlib
import json
import subprocess

from harness import statistics
from harness.place import CLIENT, Box, HarnessError, descriptor_limit
from harness.sidestep import sidecar

TITLE = "concurrent connections through the relay"
ORDER = 40
CLAIMS = ("many-errors", "many-rate")

MOST = 10000
# What the relay needs beside two descriptors for each connection: listeners, maps, pipes.
SPARE = 400


@contextlib.contextmanager
def hold(box, connections):
    """Keeps so many idle connections open, each after one answer; yields their number."""
    process = subprocess.Popen(
        [CLIENT, "keepalive", "--target", box.target, "--addresses", "100", "--clients",
         str(connections), "--hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=box.container.enter_in_child(box.cpus))
    try:
        line = process.stdout.readline()
        if not line:
            raise HarnessError("the connections could not be opened")
        found = json.loads(line)
        if found["errors"]:
            raise HarnessError(f"{found['errors']} of {connections} connections failed")
        yield found["held"]
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def run(bench):
    most = min(MOST, (descriptor_limit() - SPARE) // 2)
    name = {1: "1 connection", 100: "100 connections", most: f"{most} connections"}
    errors, facts = 0, {}
    with Box("many", False) as box:
        process = sidecar(box)
        for number in range(bench.rounds):
            for count in name:
                # So long that the first burst of them all is only a part of it.
                values = bench.sample("many", name[count], "sidestep", "unpinned", number, box,
                                      "keepalive", clients=count,
                                      seconds=max(bench.seconds, 1.0))
                if count == most:
                    errors += values["errors"]
        with hold(box, most) as held:
            facts = {"connections": held, "descriptors": process.descriptors(),
                     "rss_mb": round(process.memory()["VmRSS"] / 1e6, 2),
                     "kernel_sockets": box.container.run("cat", "/proc/net/sockstat").splitlines()}
    bench.facts["many"] = facts
    rates = {count: bench.values("many", name[count], "sidestep", "unpinned", "rate")
             for count in name}
    words = f"{most} connections, {facts['descriptors']} descriptors, {facts['rss_mb']} MB resident"
    if most < MOST:
        words += (f"; this machine lets a process open {descriptor_limit()} files, and each "
                  "connection takes two")
    bench.claim("many-errors", errors, detail=words)
    ratios = statistics.ratios(rates[most], rates[100])
    if ratios:
        median, low, high = statistics.spread(ratios)
        bench.claim("many-rate", median, (high - low) / 2, detail=words)
    bench.lines("many", "Relay rate as connections grow: requests/s", "concurrent connections",
                {"sidestep": [(count, list(rates[count].values())) for count in name]})
