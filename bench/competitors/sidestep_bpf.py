# SPDX-License-Identifier: Apache-2.0
"""Ours, sidecar mode, own BPF programs."""

from harness.place import SIDESTEP
from harness.sidestep import sidecar

import subprocess

NAME = "sidestep"
ROLES = ("steer", "relay")
QUICK = True
ORDER = 30


def start_steer(box):
    box.sink("--steer", "bpf")


def start_relay(box):
    sidecar(box, "--datapath", "bpf")


def versions():
    return {"sidestep": subprocess.run([SIDESTEP, "--version"], capture_output=True, text=True,
                                       check=False).stdout.partition("\n")[0]}
