# SPDX-License-Identifier: Apache-2.0
"""Ours, sidecar mode, nftables datapath, for use without CAP_BPF and without an agent."""

from harness.sidestep import sidecar

NAME = "sidestep nft"
ROLES = ("steer", "relay")
ORDER = 32


def start_steer(box):
    box.sink("--steer", "nft")


def start_relay(box):
    sidecar(box, "--datapath", "nft")


def versions():
    return {}
