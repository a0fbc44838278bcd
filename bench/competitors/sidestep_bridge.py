# SPDX-License-Identifier: Apache-2.0
"""Ours, bridge mode: on the host, with nothing in the container. Between application and proxy is a
veth, so the figures include the cost of a container's own device."""

from harness.sidestep import sidecar

NAME = "sidestep bridge"
ROLES = ("steer", "relay")
ORDER = 34


def start_steer(box):
    box.sink("--steer", "bridge:br0", where=box.host)


def start_relay(box):
    sidecar(box, "--bridge", "br0", where=box.host)


def versions():
    return {}
