# SPDX-License-Identifier: Apache-2.0
"""The limit: nothing is steered or relayed, and the receiver is on the container's own loopback."""

NAME = "plain loopback"
ROLES = ("steer", "relay")
QUICK = True
ORDER = 0


def start_steer(box):
    box.target = "127.1.0.0"
    box.sink("--listen")


start_relay = start_steer


def versions():
    return {}
