# SPDX-License-Identifier: Apache-2.0
"""Nothing is steered, nothing relayed: the receiver on the host, reached over the bridge. It is the
second hop of every relay; with plain loopback, which is the first, it bounds what one can do."""

NAME = "plain bridge"
ROLES = ("relay",)
QUICK = True
ORDER = 5


def start_relay(box):
    box.target = box.LINK


def versions():
    return {}
