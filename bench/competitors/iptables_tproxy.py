# SPDX-License-Identifier: Apache-2.0
"""iptables TPROXY for the namespace's own traffic, with rules of the incumbent's shape. OUTPUT
marks the traffic to take, a routing rule leads it to lo, and PREROUTING hands it over. DIVERT is as
in Documentation/networking/tproxy.rst of the kernel."""

import subprocess

from harness.place import find_program

NAME = "iptables TPROXY"
ROLES = ("steer",)
QUICK = True
ORDER = 10

BYPASS = ("127.0.0.0/8", "172.30.0.0/24")
# The user of a receiver that dials on. Its own connections are left alone.
PROXY_USER = 65534


def install(box):
    """Installs the rules in the box's container. Packets that arrive go to port
    box.TRANSPARENT_PORT."""
    returns_in = "\n".join(f"-A PREROUTING -d {subnet} -j RETURN" for subnet in BYPASS)
    returns_out = "\n".join(f"-A OUTPUT -d {subnet} -j RETURN" for subnet in BYPASS)
    rules = f"""*mangle
:DIVERT - [0:0]
-A DIVERT -j MARK --set-mark 1
-A DIVERT -j ACCEPT
-A PREROUTING -p tcp -m socket -j DIVERT
{returns_in}
-A PREROUTING -p tcp -m mark --mark 1 -j TPROXY --on-port {box.TRANSPARENT_PORT} --on-ip 127.0.0.1 --tproxy-mark 1/1
-A OUTPUT -m conntrack --ctdir REPLY -j RETURN
-A OUTPUT -m owner --uid-owner {PROXY_USER} -j RETURN
{returns_out}
-A OUTPUT -p tcp -j MARK --set-mark 1
COMMIT
"""
    box.container.run(find_program("iptables-restore"), text=rules)
    box.container.ip("""rule add fwmark 1 lookup 100
        route add local default dev lo table 100""")


def start_steer(box):
    install(box)
    box.sink("--transparent", str(box.TRANSPARENT_PORT))


def versions():
    return {"iptables": subprocess.run(["iptables", "--version"], capture_output=True, text=True,
                                       check=False).stdout.strip()}
