# SPDX-License-Identifier: Apache-2.0
"""TLS interception against `openssl s_server`: handshakes with known and with new names, and a
stream. Both have the same core and the same type of key (P-256)."""

from harness.place import Box, find_program
from harness.sidestep import sidecar

TITLE = "TLS interception"
ORDER = 60
CLAIMS = ("tls-handshakes",)

PORT = "4433"
SERVER, AGAIN, OURS = "openssl s_server", "openssl s_server again", "sidestep"


def server(box):
    """Runs s_server on the container's loopback, with a self-signed P-256 certificate."""
    openssl = find_program("openssl")
    key, certificate = f"{box.directory}/key.pem", f"{box.directory}/certificate.pem"
    box.container.run(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=bench.example", "-days",
                      "1", "-keyout", key, "-out", certificate)
    box.spawn(openssl, "s_server", "-accept", PORT, "-key", key, "-cert", certificate, "-quiet",
              "-no_dhe", where=box.container)
    box.target = "127.0.0.1"
    for _ in range(200):
        if box.container.run("ss", "-Htln", f"sport = :{PORT}").strip():
            return
        box.container.run("sleep", "0.01")


def run(bench):
    for mode in bench.modes:
        pinned = mode == "pinned"
        with Box("s_server", pinned) as theirs, Box("again", pinned) as again, \
                Box("tls", pinned) as ours:
            server(theirs)
            server(again)
            sidecar(ours, "--tls-intercept", "--ca-dir", f"{ours.directory}/ca",
                    "--gateway-protocol", "workerd")
            known = ("--server", "cached.bench.example")
            fresh = ("--server", "host%.bench.example")
            for number in range(bench.rounds):
                for name, box in ((SERVER, theirs), (AGAIN, again)):
                    bench.sample("tls", "handshakes, cached name", name, mode, number, box,
                                 "handshake", addresses=1, extra=(*known, "--port", PORT))
                bench.sample("tls", "handshakes, cached name", OURS, mode, number, ours,
                             "handshake", extra=known)
                bench.sample("tls", "handshakes, new names", OURS, mode, number, ours, "handshake",
                             extra=fresh)
                bench.sample("tls", "bulk down", OURS, mode, number, ours, "tls-download",
                             extra=known)
    bench.claim("tls-handshakes",
                bench.ratio("tls", "handshakes, cached name", "rate", OURS, SERVER),
                bench.floor("tls", "handshakes, cached name", "rate"),
                unpinned=bench.ratio("tls", "handshakes, cached name", "rate", OURS, SERVER,
                                     "unpinned"))
    for workload in ("handshakes, cached name", "handshakes, new names"):
        bench.bars("tls", workload, "rate", "pinned", f"TLS {workload}: per second")
