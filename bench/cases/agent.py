# SPDX-License-Identifier: Apache-2.0
"""1 to 200 namespaces on one agent: how long each takes, what each costs in memory."""

from harness.place import Unavailable

TITLE = "namespaces on one agent"
ORDER = 70
CLAIMS = ("agent-attach", "agent-memory")


def run(bench):
    raise Unavailable("there is no `sidestep agent` yet")
