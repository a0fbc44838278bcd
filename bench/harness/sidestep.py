# SPDX-License-Identifier: Apache-2.0
"""Starting the product in a box."""

from harness.place import SIDESTEP

LIVE = "interception is live"


def sidecar_command(box, *arguments):
    return [SIDESTEP, "sidecar", "--gateway", box.GATEWAY, "--threads", str(box.threads),
            "--max-connections", "60000", *arguments]


def sidecar(box, *arguments, where=None):
    """`sidestep sidecar` with the box's gateway, live. Unavailable, with its own words, if not."""
    process = box.spawn(*sidecar_command(box, *arguments), where=where)
    process.wait_line(LIVE)
    box.relay = process
    return process
