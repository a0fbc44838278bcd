# SPDX-License-Identifier: Apache-2.0
"""Nothing is steered, nothing relayed: the receiver on the container's own loopback. The limit."""

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
