# SPDX-License-Identifier: Apache-2.0
"""Nobody decides anything: two routing rules, of which one leaves the connected subnets alone and one
leads the rest to lo, and receivers that take whatever destination comes. What steering by policy
routing costs at the least; what a steering adds is its programs or rules."""

NAME = "policy routing alone"
ROLES = ("steer",)
QUICK = True
ORDER = 6

# As Sidestep's (docs/ARCHITECTURE.md), the answers' route included.
RULES = """rule add priority 101 iif lo lookup main suppress_prefixlength 0
    rule add priority 104 iif lo lookup 9301
    route add local default dev lo src 172.30.0.2 table 9301
    route add local 172.30.0.2 dev lo src 172.30.0.2 metric 1 table local"""


def start_steer(box):
    box.container.ip(RULES)
    box.sink("--listen-foreign")


def versions():
    return {}
