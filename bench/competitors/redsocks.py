# SPDX-License-Identifier: Apache-2.0
"""iptables REDIRECT and redsocks in http-connect mode: the same job end to end, to the same CONNECT
gateway. The configuration is that of its README, with the log off and splice(2) on."""

import subprocess

from competitors.iptables_tproxy import BYPASS, PROXY_USER
from harness.place import descriptor_limit, find_program

NAME = "redsocks"
ROLES = ("relay",)
QUICK = True
ORDER = 20

PORT = 12345


def start_relay(box):
    address, port = box.GATEWAY.split(":")
    config = box.file("redsocks.conf", f"""
base {{
    log_debug = off;
    log_info = off;
    log = "stderr";
    daemon = off;
    user = nobody;
    group = nogroup;
    redirector = iptables;
    rlimit_nofile = {descriptor_limit()};
    redsocks_conn_max = {descriptor_limit() // 6 - 20};
}}
redsocks {{
    local_ip = 127.0.0.1;
    local_port = {PORT};
    listenq = 4096;
    splice = true;
    ip = {address};
    port = {port};
    type = http-connect;
}}
""")
    box.relay = box.spawn(find_program("redsocks"), "-c", config)
    box.relay.wait_line("redsocks started")
    returns = "\n".join(f"-A REDSOCKS -d {subnet} -j RETURN" for subnet in BYPASS)
    box.container.run(find_program("iptables-restore"), text=f"""*nat
:REDSOCKS - [0:0]
{returns}
-A REDSOCKS -p tcp -j REDIRECT --to-ports {PORT}
-A OUTPUT -p tcp -m owner ! --uid-owner {PROXY_USER} -j REDSOCKS
COMMIT
""")


def versions():
    text = subprocess.run([find_program("redsocks"), "-v"], capture_output=True, text=True,
                          check=False)
    return {"redsocks": (text.stdout + text.stderr).strip().splitlines()[0]}
