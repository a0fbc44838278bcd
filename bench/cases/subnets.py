# SPDX-License-Identifier: Apache-2.0
"""The cost of more bypass subnets: 1, 10, 100, 1000 of them, steering alone."""

from harness.place import Box

TITLE = "bypass subnets"
ORDER = 50
CLAIMS = ("subnets-1000",)

COUNTS = (1, 10, 100, 1000)


def subnets(count):
    """Returns subnets of mixed lengths. The traffic goes to none of them."""
    return [f"10.{number // 250}.{number % 250}.0/24" for number in range(count)]


def run(bench):
    boxes = []
    try:
        for count, name in [(count, f"{count} subnets") for count in COUNTS] + [(1, "1 subnets again")]:
            box = Box(name, True)
            boxes.append((name, box))
            box.sink("--steer", "bpf",
                     *(word for subnet in subnets(count) for word in ("--bypass", subnet)))
        bench.interleave("subnets", boxes, (("connections", "connect", {"clients": 32}),), "pinned")
    finally:
        for _, box in boxes:
            box.close()
    bench.claim("subnets-1000",
                bench.ratio("subnets", "connections", "rate", "1000 subnets", "1 subnets"),
                bench.floor("subnets", "connections", "rate"))
    bench.lines("subnets", "Steering with more bypass subnets: connections/s", "bypass subnets",
                {"sidestep": [(count, list(bench.values("subnets", "connections", f"{count} subnets",
                                                        "pinned", "rate").values()))
                              for count in COUNTS]})
