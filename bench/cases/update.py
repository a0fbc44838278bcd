# SPDX-License-Identifier: Apache-2.0
"""Subnets come and go while connections are steered: the rate with and without, and no error."""

from harness.place import Box

TITLE = "map updates under load"
ORDER = 51
CLAIMS = ()

# Adds and removes addresses as long as it runs. Sidestep follows each change.
CHURN = """n=0
while :; do
    n=$(( (n + 1) % 200 ))
    ip -batch - <<END
address add 10.99.$n.1/24 dev eth0
address del 10.99.$n.1/24 dev eth0
END
done"""


def run(bench):
    with Box("calm", False) as calm, Box("churn", False) as churn:
        for box in (calm, churn):
            box.sink("--steer", "bpf")
        for number in range(bench.rounds):
            bench.sample("update", "connections", "calm", "unpinned", number, calm, "connect",
                         clients=32)
            process = churn.container.spawn("sh", "-c", CHURN)
            try:
                bench.sample("update", "connections", "subnets come and go", "unpinned", number,
                             churn, "connect", clients=32)
            finally:
                process.stop()
