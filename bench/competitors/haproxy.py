# SPDX-License-Identifier: Apache-2.0
"""HAProxy in TCP mode with splicing behind iptables TPROXY: the best relay there is. It dials the
original destination itself (no CONNECT), and the same sink serves there."""

import subprocess
import time

from competitors import iptables_tproxy
from harness.place import descriptor_limit, find_program

NAME = "HAProxy + TPROXY"
ROLES = ("relay",)
QUICK = True
ORDER = 21


def start_relay(box):
    config = box.file("haproxy.cfg", f"""
global
    nbthread {box.threads}
    maxconn {descriptor_limit() // 3}
    uid {iptables_tproxy.PROXY_USER}
    gid {iptables_tproxy.PROXY_USER}

defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 1h
    timeout server 1h

listen relay
    bind 127.0.0.1:{box.TRANSPARENT_PORT} transparent backlog 16384
    server original 0.0.0.0
""")
    iptables_tproxy.install(box)
    # -db: in the foreground.
    box.relay = box.spawn(find_program("haproxy"), "-db", "-f", config)
    wait_listening(box)


def wait_listening(box):
    for _ in range(500):
        if box.container.run("ss", "-Htln", f"sport = :{box.TRANSPARENT_PORT}").strip():
            return
        if not box.relay.alive():
            break
        time.sleep(0.01)
    box.relay.wait_line("NEVER", 0)


def versions():
    text = subprocess.run([find_program("haproxy"), "-v"], capture_output=True, text=True,
                          check=False).stdout
    return {"haproxy": text.splitlines()[0]}
