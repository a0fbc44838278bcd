# SPDX-License-Identifier: Apache-2.0
"""1 to 200 namespaces on one agent: how long each takes, what each costs in memory."""

import subprocess

from harness.place import SIDESTEP, Unavailable

TITLE = "namespaces on one agent"
ORDER = 70
CLAIMS = ("agent-attach", "agent-memory")


def run(bench):
    known = subprocess.run([SIDESTEP, "agent", "--help"], capture_output=True, check=False)
    if known.returncode != 0:
        raise Unavailable("this build has no `sidestep agent`")
    raise Unavailable("`sidestep agent` is here, but this case does not measure it yet")
