# SPDX-License-Identifier: Apache-2.0
"""A second box of the same kind. Each difference between the two is noise."""

from competitors.loopback import ROLES, QUICK, start_steer, start_relay, versions  # noqa: F401

NAME = "plain loopback again"
ORDER = 1
