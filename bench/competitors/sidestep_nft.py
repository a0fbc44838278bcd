# SPDX-License-Identifier: Apache-2.0
"""Ours, sidecar mode, nftables datapath: where neither CAP_BPF nor an agent is to be had."""

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
