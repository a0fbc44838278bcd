# SPDX-License-Identifier: Apache-2.0
"""Known tools against the same receiver or path, as a check of the load generator: wrk for requests,
iperf3 for bulk."""

import json
import re

from harness.place import Box, find_program

TITLE = "outside check of the load generator"
ORDER = 90
CLAIMS = ()


def run(bench):
    with Box("outside", False) as box:
        box.target = "127.0.0.1"
        box.sink("--listen")
        box.spawn(find_program("iperf3"), "-s", "-p", "5201", "--forceflush").wait_line("Server listening")
        for number in range(3):
            bench.sample("outside", "requests, 32 connections", "our client", "unpinned", number, box,
                         "keepalive", clients=32, addresses=1, seconds=1)
            text = box.container.run(find_program("wrk"), "-t1", "-c32", "-d1s",
                                     "http://127.0.0.1:8002/")
            bench.record("outside", "requests, 32 connections", "wrk", "unpinned", number,
                         {"rate": float(re.search(r"Requests/sec:\s*([\d.]+)", text).group(1))})
            bench.sample("outside", "bulk", "our client and sink", "unpinned", number, box, "upload",
                         addresses=1, seconds=1)
            text = box.container.run(find_program("iperf3"), "-c", "127.0.0.1", "-t", "1", "-J")
            sent = json.loads(text)["end"]["sum_received"]["bits_per_second"]
            bench.record("outside", "bulk", "iperf3", "unpinned", number, {"gbit_s": sent / 1e9})
