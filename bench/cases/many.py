# SPDX-License-Identifier: Apache-2.0
"""1, 100, 10000 concurrent connections through the relay. At any moment 100 requests are under way
(1 on one connection), in turn over all connections. So only the number of connections differs. A
full run also has all 10000 requests at once."""

import contextlib
import json
import subprocess

import competitors.loopback
from competitors.loopback import NAME as LIMIT
from harness import statistics
from harness.place import CLIENT, Box, HarnessError, descriptor_limit
from harness.sidestep import sidecar

TITLE = "concurrent connections through the relay"
ORDER = 40
CLAIMS = ("many-errors", "many-rate")

MOST = 10000
WINDOW = 100
# The relay's descriptors beside two for each connection: listeners, maps, pipes.
SPARE = 400


@contextlib.contextmanager
def hold(box, connections):
    """Keeps this many idle connections open, each after one answer. Yields their number."""
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
    with Box("many", False) as box, Box("loopback", False) as loopback:
        process = sidecar(box)
        # The bound: the cost of as many sockets without any relay.
        competitors.loopback.start_steer(loopback)
        subjects = [("sidestep", box), (LIMIT, loopback)]
        for number in range(bench.rounds):
            for count in name:
                for subject, place in subjects:
                    if count == 1 and subject == LIMIT:
                        continue
                    # The time must be long enough that the first burst of all requests is only a
                    # part of it.
                    values = bench.sample("many", name[count], subject, "unpinned", number, place,
                                          "keepalive", clients=count,
                                          seconds=max(bench.seconds, 1.0),
                                          extra=("--window", min(count, WINDOW)))
                    if count == most and subject == "sidestep":
                        errors += values["errors"]
            if not bench.quick:
                bench.sample("many", f"{most} connections, all at once", "sidestep", "unpinned",
                             number, box, "keepalive", clients=most,
                             seconds=max(bench.seconds, 1.0))
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
        bench.claim("many-rate", median, (high - low) / 2, detail=words,
                    bound=bound(bench, name, most))
    rates_of = {subject: [(count, list(bench.values("many", name[count], subject, "unpinned",
                                                    "rate").values())) for count in name]
                for subject, _ in subjects}
    bench.lines("many", "Relay rate as connections grow: requests/s", "concurrent connections",
                rates_of)


def bound(bench, name, most):
    """Returns the same ratio without a relay."""
    found = statistics.ratios(*(bench.values("many", name[count], LIMIT, "unpinned", "rate")
                                for count in (most, 100)))
    return round(statistics.quantile(found, 0.5), 3) if found else None
