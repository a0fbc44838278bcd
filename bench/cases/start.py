# SPDX-License-Identifier: Apache-2.0
"""The time from exec to interception, and whether a process was made on the way."""

import json
import re

from harness import statistics
from harness.place import ALL_CPUS, CLIENT, Box, HarnessError, find_program, wait_quiet
from harness.sidestep import LIVE, sidecar_command, without_rights

TITLE = "exec to interception"
ORDER = 20
CLAIMS = ("start-live", "start-children", "start-nft-2", "start-nft-32")

RUNS = 11


def run(bench):
    live = []
    with Box("start", False) as box:
        # Without interception this address would answer too. So the route to the world is removed,
        # and each answer came through the gateway.
        box.host.ip("route del local 192.0.2.0/24 dev lo")
        box.host.ip("route add unreachable 192.0.2.0/24")
        for number in range(RUNS if bench.quick else 2 * RUNS):
            found = start(box, sidecar_command(box, "--drain", "0"))
            bench.record("start", "exec to interception", "sidestep", "unpinned", number, found)
            live.append(found["live_ms"])
        bench.claim("start-live", statistics.quantile(live, 0.5),
                    detail="median; the line \"interception is live\", seen from outside")
        children(bench, box)
        for threads in (2, 32):
            against_bpf(bench, box, threads)


def start(box, command):
    """Starts and ends one sidecar. Returns the client's figures."""
    wait_quiet()
    return json.loads(box.container.run(
        CLIENT, "start", "--target", box.INTERNET, "--addresses", "100", "--until", LIVE,
        "--", *command, cpus=ALL_CPUS))


def against_bpf(bench, box, threads):
    """Starts with nftables and with BPF in turn. The claim is the ratio of the medians."""
    live = {"nft": [], "bpf": []}
    for number in range(RUNS if bench.quick else 2 * RUNS):
        for datapath, times in live.items():
            command = sidecar_command(box, "--drain", "0", "--datapath", datapath,
                                      "--threads", str(threads))
            found = start(box, without_rights(command) if datapath == "nft" else command)
            bench.record("start", f"exec to interception, {threads} threads",
                         f"sidestep {datapath}", "unpinned", number, found)
            times.append(found["live_ms"])
    medians = {datapath: statistics.quantile(times, 0.5) for datapath, times in live.items()}
    bench.claim(f"start-nft-{threads}", medians["nft"] / medians["bpf"],
                detail=f"medians of {medians['nft']:.1f} and {medians['bpf']:.1f} ms")


def children(bench, box):
    """Counts child processes. strace -f sees every clone: threads share the address space, a
    process does not."""
    trace = f"{box.directory}/trace"
    # setpriv ends the program with strace, which leaves it running otherwise.
    process = box.spawn(find_program("strace"), "-f", "-qq", "-o", trace, "-e",
                        "trace=clone,clone3,fork,vfork,execve", find_program("setpriv"),
                        "--pdeathsig", "KILL", "--", *sidecar_command(box))
    process.wait_line(LIVE)
    process.stop()
    with open(trace, encoding="ascii", errors="replace") as file:
        text = file.read()
    made = [line for line in text.splitlines()
            if re.search(r"\b(fork|vfork)\(", line) or
            (re.search(r"\bclone3?\(", line) and "CLONE_THREAD" not in line)]
    executed = len(re.findall(r"\bexecve\(.* = 0", text))
    if executed < 2:
        raise HarnessError("strace did not see setpriv and sidestep start")
    bench.claim("start-children", len(made) + executed - 2,
                detail="clone without CLONE_THREAD, fork, vfork, and execve but the first, by "
                       "strace -f")
