# SPDX-License-Identifier: Apache-2.0
"""nftables TPROXY: the same decisions as iptables_tproxy.py in one table, with a set."""

import subprocess

from competitors.iptables_tproxy import BYPASS
from harness.place import find_program

NAME = "nft TPROXY"
ROLES = ("steer",)
ORDER = 11


def start_steer(box):
    rules = f"""table ip bench {{
        set bypass {{ type ipv4_addr; flags interval; elements = {{ {", ".join(BYPASS)} }} }}
        chain prerouting {{
            type filter hook prerouting priority mangle; policy accept;
            meta l4proto tcp socket transparent 1 meta mark set 1 accept
            ip daddr @bypass return
            meta l4proto tcp meta mark 1 tproxy to 127.0.0.1:{box.TRANSPARENT_PORT} accept
        }}
        chain output {{
            type route hook output priority mangle; policy accept;
            ct direction reply return
            ip daddr @bypass return
            meta l4proto tcp meta mark set 1
        }}
    }}
    """
    box.container.run(find_program("nft"), "-f", "-", text=rules)
    box.container.ip("""rule add fwmark 1 lookup 100
        route add local default dev lo table 100""")
    box.sink("--transparent", str(box.TRANSPARENT_PORT))


def versions():
    return {"nft": subprocess.run(["nft", "--version"], capture_output=True, text=True,
                                  check=False).stdout.strip()}
