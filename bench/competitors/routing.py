# SPDX-License-Identifier: Apache-2.0
"""The least cost of steering by policy routing: two rules without a program behind them. One rule
leaves the connected subnets alone, one leads the rest to lo. Receivers there take any destination.
A real steering adds its programs or rules."""

NAME = "policy routing alone"
ROLES = ("steer",)
QUICK = True
ORDER = 6

# These are Sidestep's routes (docs/ARCHITECTURE.md), including the route of replies.
RULES = """rule add priority 101 iif lo lookup main suppress_prefixlength 0
    rule add priority 103 iif lo ipproto tcp lookup 9301
    route add local default dev lo src 172.30.0.2 table 9301
    route add local 172.30.0.2 dev lo src 172.30.0.2 metric 1 table local"""


def start_steer(box):
    box.container.ip(RULES)
    box.sink("--listen-foreign")


def versions():
    return {}
