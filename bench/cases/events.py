# SPDX-License-Identifier: Apache-2.0
"""Events: what they cost a connection, in time and memory, and whether each has one."""

import json
import os
import subprocess

from cases.many import hold
from harness.place import REPO, Box, HarnessError
from harness.sidestep import sidecar

TITLE = "events of connections"
ORDER = 13
CLAIMS = ("events-rate", "events-memory", "events-missing")

CASE = "events"
WITHOUT, AGAIN, WITH = "without events", "without events again", "with events"
OFF = ("--event-memory", "0")
HELD = 5000
# A quick run makes fewer.
CONNECTIONS, QUICK_CONNECTIONS = 100000, 10000


def run(bench):
    for mode in bench.modes:
        pinned = mode == "pinned"
        with Box("without", pinned) as without, Box("again", pinned) as again, \
                Box("with", pinned) as ours:
            boxes = ((WITHOUT, without), (AGAIN, again), (WITH, ours))
            sidecar(without, *OFF)
            sidecar(again, *OFF)
            sidecar(ours, "--event-log", os.path.join(ours.directory, "events.json"))
            for _, box in boxes:
                box.client("http", clients=32, seconds=0.2)
            bench.interleave(CASE, boxes, (("HTTP per connection", "http", {"clients": 32}),), mode)
    bench.claim("events-rate",
                bench.ratio(CASE, "HTTP per connection", "rate", WITH, WITHOUT),
                bench.floor(CASE, "HTTP per connection", "rate"),
                unpinned=bench.ratio(CASE, "HTTP per connection", "rate", WITH, WITHOUT, "unpinned"))
    memory(bench)
    count(bench)


def memory(bench):
    """The growth for each idle connection, with events and without."""
    grown = {}
    for name, options in ((WITHOUT, OFF), (WITH, ())):
        with Box("memory", False) as box:
            process = sidecar(box, *options)
            box.client("http", clients=32, seconds=0.2)
            idle = process.memory()["VmRSS"]
            with hold(box, HELD) as held:
                grown[name] = (process.memory()["VmRSS"] - idle) / held
    bench.claim("events-memory", grown[WITH] - grown[WITHOUT], detail=grown)


def count(bench):
    """Each connection leaves one valid event, and both ends have counted the same bytes."""
    wanted = QUICK_CONNECTIONS if bench.quick else CONNECTIONS
    with Box("count", False) as box:
        log = os.path.join(box.directory, "events.json")
        process = sidecar(box, "--event-log", log)
        made = 0
        while made < wanted:
            found = box.client("http", clients=32, seconds=2.0)
            if found["errors"]:
                raise HarnessError(f"{found['errors']} connections failed")
            made += found["count"]
        process.stop()
        files = [name for name in (f"{log}.{number}" for number in (3, 2, 1)) if os.path.exists(name)]
        checked = subprocess.run(
            ["python3", os.path.join(REPO, "tests", "events.py"), "check", *files, log],
            capture_output=True, text=True, check=False)
        if checked.returncode:
            raise HarnessError(checked.stderr)
        ends = {}
        for name in (*files, log):
            with open(name, encoding="utf-8") as lines:
                for event in map(json.loads, lines):
                    ends[event["end"]] = ends.get(event["end"], 0) + 1
        bench.claim("events-missing", abs(int(checked.stdout) - made),
                    detail={"connections": made, "events": int(checked.stdout), "ends": ends})
