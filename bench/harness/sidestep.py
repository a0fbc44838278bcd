# SPDX-License-Identifier: Apache-2.0
"""Starts the product in a box."""

import os

from harness.place import SIDESTEP, find_program

LIVE = "interception is live"
# A sidecar's message once it has an agent.
SERVED = "the host's agent steers"


def sidecar_command(box, *arguments):
    return [SIDESTEP, "sidecar", "--gateway", box.GATEWAY, "--threads", str(box.threads),
            *arguments]


def sidecar(box, *arguments, where=None):
    """Starts `sidestep sidecar` with the box's gateway, until it is live. Raises Unavailable, with
    its own words, if it is not."""
    process = box.spawn(*sidecar_command(box, *arguments), where=where)
    process.wait_line(LIVE)
    box.relay = process
    return process


def without_rights(command):
    """Returns the command with CAP_NET_ADMIN alone, as workerd's sidecar has it."""
    return [find_program("setpriv"), "--bounding-set=-all,+net_admin", "--inh-caps=-all", *command]


def agent(box, processes, *arguments):
    """Starts `sidestep agent` on the box's host, for these sidecars. Its pins are on a bpffs in a
    mount namespace of its own, which ends with it."""
    directory = os.path.join(box.directory, "bpf")
    os.makedirs(directory, exist_ok=True)
    pids = [word for process in processes for word in ("--pid", str(process.pid))]
    return box.spawn(find_program("unshare"), "--mount", "sh", "-c",
                     'mount -t bpf bpf "$1" && shift && exec "$@"', "sh", directory, SIDESTEP,
                     "agent", "--pin", os.path.join(directory, "agent"), *arguments, *pids,
                     where=box.host)
