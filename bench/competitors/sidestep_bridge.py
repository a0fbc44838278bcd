# SPDX-License-Identifier: Apache-2.0
"""Ours, bridge mode: on the host, nothing in the container. Between application and proxy lies a
veth, so this is the cost of a container's own device, too."""

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
