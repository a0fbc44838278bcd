# SPDX-License-Identifier: Apache-2.0
"""Nothing is steered or relayed, and the receiver is on the host, over the bridge. This is the
second hop of every relay. Together with plain loopback, the first hop, it bounds every relay."""

NAME = "plain bridge"
ROLES = ("relay",)
QUICK = True
ORDER = 5


def start_relay(box):
    box.target = box.LINK


def versions():
    return {}
