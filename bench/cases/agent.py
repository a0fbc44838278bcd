# SPDX-License-Identifier: Apache-2.0
"""1 to 200 namespaces on one agent: the time and the memory that each takes."""

import contextlib
import signal
import statistics
import subprocess
import time

from harness.place import Box, HarnessError, Namespace
from harness.sidestep import LIVE, SERVED, agent, sidecar_command, without_rights

TITLE = "namespaces on one agent"
ORDER = 70
CLAIMS = ("agent-attach", "agent-memory")

COUNTS = (1, 20, 200)
LIMIT_S = 60
# These come one by one. Is the last as quick as the first?
PART = 20
# Links come 100 ms apart, six for each.
SETTLE_COUNT = 5
SETTLED = "links have taken the place of all filters"


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


def wait_served(process):
    """Waits until the sidecar reports the agent, with more frequent looks than for a load."""
    end = time.monotonic() + LIMIT_S
    while SERVED not in process.text():
        if time.monotonic() > end:
            raise HarnessError(f"a sidecar is not served after {LIMIT_S} s")
        time.sleep(0.0002)


@contextlib.contextmanager
def live_sidecars(count):
    """Makes a box with this many sidecars in containers of their own, steering with nftables."""
    with Box("agent", False) as box:
        box.host.ip("address add 172.31.0.1/16 dev br0")
        command = without_rights(sidecar_command(box, "--agent-wait", "0", "--threads", "1"))
        sidecars = [box.spawn(*command, where=container(box, number)) for number in range(count)]
        try:
            for process in sidecars:
                process.wait_line(LIVE, LIMIT_S)
            yield box, sidecars
        finally:
            # All are told before one is waited for. A stopped one hears it when it goes on.
            for process in sidecars:
                process.popen.terminate()
                process.popen.send_signal(signal.SIGCONT)
            end = time.monotonic() + LIMIT_S
            for process in sidecars:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.popen.wait(max(0.1, end - time.monotonic()))


def burst(count):
    """Serves all at once. Returns the seconds from the agent's exec until all are served, and its
    memory then. The time includes the sidecars' own work."""
    with live_sidecars(count) as (box, sidecars):
        start = time.monotonic()
        served_by = agent(box, sidecars)
        for process in sidecars:
            wait_served(process)
        return time.monotonic() - start, served_by.memory()["VmRSS"]


def one_by_one(count):
    """Returns the seconds that each one takes, in turn. They begin when the sidecar finds the
    agent's offer, and end when it says that the agent's programs steer. The sidecars are stopped
    while the agent meets them, so nothing else runs."""
    with live_sidecars(count) as (box, sidecars):
        for process in sidecars:
            process.popen.send_signal(signal.SIGSTOP)
        served_by = agent(box, sidecars, "--log-level", "debug")
        for process in sidecars:
            served_by.wait_line(f"process {process.pid} is served", LIMIT_S)
        found = []
        for process in sidecars:
            start = time.monotonic()
            process.popen.send_signal(signal.SIGCONT)
            wait_served(process)
            found.append(time.monotonic() - start)
        return found


def settling(count):
    """Returns the seconds until links have taken the place of all filters."""
    with live_sidecars(count) as (box, sidecars):
        served_by = agent(box, sidecars, "--log-level", "debug")
        for process in sidecars:
            wait_served(process)
        start = time.monotonic()
        while served_by.text().count(SETTLED) < count:
            if time.monotonic() > start + LIMIT_S:
                raise HarnessError(f"filters are still there after {LIMIT_S} s")
            time.sleep(0.02)
        return time.monotonic() - start


def run(bench):
    found = {count: burst(count) for count in COUNTS}
    first, most = COUNTS[0], COUNTS[-1]
    for count in COUNTS[1:]:
        seconds, memory = (end - begin for end, begin in zip(found[count], found[first]))
        bench.record("agent", f"{count} namespaces", "sidestep agent", "unpinned", 0,
                     {"attach_ms": seconds * 1e3 / (count - first),
                      "growth_kb": memory / 1e3 / (count - first)})
    each = [seconds * 1e3 for seconds in one_by_one(most)]
    for number, milliseconds in enumerate(each):
        bench.record("agent", "one by one", "sidestep agent", "unpinned", number,
                     {"attach_ms": milliseconds})
    bench.facts["agent"] = {f"{count} namespaces": {"seconds": round(seconds, 3),
                                                    "rss_mb": round(memory / 1e6, 2)}
                            for count, (seconds, memory) in found.items()}
    at_once = bench.median("agent", f"{most} namespaces", "sidestep agent", "unpinned", "attach_ms")
    bench.facts["agent"]["one by one"] = {
        f"median of the {words} {PART}, ms": round(statistics.median(part), 2)
        for words, part in (("first", each[:PART]), ("last", each[-PART:]))}
    bench.facts["agent"][f"{SETTLE_COUNT} namespaces: seconds until links are there"] = round(
        settling(SETTLE_COUNT), 1)
    # The slower of the two.
    alone = statistics.median(each[-PART:])
    bench.claim("agent-attach", max(at_once, alone),
                detail=f"{most} namespaces at once {at_once:.2f} ms each, their sidecars' own work "
                       f"included; one by one, the last {PART} of {most}: {alone:.2f} ms")
    bench.claim("agent-memory", bench.median("agent", f"{most} namespaces", "sidestep agent",
                                             "unpinned", "growth_kb"),
                detail=f"from {first} to {most} namespaces")
