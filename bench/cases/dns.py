# SPDX-License-Identifier: Apache-2.0
"""DNS queries through the relay, against the same resolver asked directly."""

from harness.place import Box
from harness.sidestep import sidecar

TITLE = "DNS"
ORDER = 61
CLAIMS = ()


def run(bench):
    for mode in bench.modes:
        with Box("direct", mode == "pinned") as direct, Box("dns", mode == "pinned") as ours:
            sidecar(ours)
            for box in (direct, ours):
                box.target = box.RESOLVER
            bench.interleave("dns", (("asked directly", direct), ("sidestep", ours)),
                             (("queries, 1 client", "dns", {"addresses": 1}),
                              ("queries, 32 clients", "dns", {"addresses": 1, "clients": 32})),
                             mode)
    bench.bars("dns", "queries, 32 clients", "rate", "pinned", "DNS queries/s")
