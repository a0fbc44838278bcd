# SPDX-License-Identifier: Apache-2.0
"""Ours, sidecar mode, with CAP_NET_ADMIN alone and the host's agent. The agent has the BPF programs
of sidestep_bpf.py, so only the relay is measured here."""

from harness.sidestep import LIVE, SERVED, agent, sidecar_command, without_rights

NAME = "sidestep agent"
ROLES = ("relay",)
ORDER = 33


def start_relay(box):
    box.relay = box.spawn(*without_rights(sidecar_command(box, "--agent-wait", "0")))
    box.relay.wait_line(LIVE)
    agent(box, [box.relay])
    box.relay.wait_line(SERVED)


def versions():
    return {}
