# SPDX-License-Identifier: Apache-2.0
"""A second box of the same kind. Each difference between the two is noise."""

from competitors.sidestep_bpf import ROLES, QUICK, start_steer, start_relay, versions  # noqa: F401

NAME = "sidestep again"
ORDER = 31
