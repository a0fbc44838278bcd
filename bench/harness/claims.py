# SPDX-License-Identifier: Apache-2.0
"""The claims that must be shown, with one entry for each figure of each line. A case reports its
figure with bench.claim(KEY, ...). A claim without a report counts as not measured, with the reason."""

from collections import namedtuple

# @line is the line of the table, @figure one figure of it. @bar is compared by @sense.
Claim = namedtuple("Claim", "key line figure sense bar unit digits", defaults=("", 2))

_LOOPBACK = "steering alone, against plain loopback"
_IPTABLES = "steering alone, against iptables TPROXY"
_REDSOCKS = "whole relay through a CONNECT gateway, against redsocks"
_HAPROXY = "whole relay, against HAProxy + TPROXY to the same sink"
_BYPASS = "bypassed traffic"
_GUARD = "outer guard, with it against without"
_EVENTS = "an event for each connection"
_START = "exec to interception live"
_MEMORY = "memory"
_MANY = "10000 concurrent connections"
_AGENT = "agent with 200 namespaces attached"

CLAIMS = (
    Claim("loopback-connections", _LOOPBACK, "connections/s", ">=", 0.90),
    Claim("loopback-bulk", _LOOPBACK, "bulk", ">=", 0.95),
    Claim("loopback-pingpong", _LOOPBACK, "ping-pong p50", "<=", 1.05),
    Claim("iptables-connections", _IPTABLES, "connections/s", ">=", 1.25),
    Claim("iptables-bulk", _IPTABLES, "bulk", ">=", 1.5),
    Claim("iptables-pingpong", _IPTABLES, "ping-pong p50", "<=", 0.80),
    Claim("redsocks-http", _REDSOCKS, "HTTP per connection", ">=", 2.0),
    Claim("redsocks-bulk", _REDSOCKS, "bulk", ">=", 2.0),
    Claim("redsocks-cpu", _REDSOCKS, "CPU s/GB", "<=", 0.5),
    Claim("haproxy-http", _HAPROXY, "HTTP per connection", ">=", 1.1),
    Claim("haproxy-bulk", _HAPROXY, "bulk", ">=", 1.1),
    Claim("haproxy-cpu", _HAPROXY, "CPU s/GB", "<=", 0.9),
    Claim("relay-loopback-bulk", "bulk relay against plain loopback", "bulk", ">=", 0.60),
    Claim("bypass-ratio", _BYPASS, "with us against without", ">=", 0.98, "", 3),
    Claim("bypass-bpf", _BYPASS, "BPF per packet (0: no run at all)", "<=", 100, "ns", 1),
    Claim("guard-ratio", _GUARD, "the worst of bypassed and replied traffic", ">=", 0.97, "", 3),
    Claim("events-rate", _EVENTS, "connections/s, with them against without", ">=", 0.98, "", 3),
    Claim("events-memory", _EVENTS, "RSS per idle connection", "<=", 64, "bytes", 0),
    Claim("events-missing", _EVENTS, "connections without one of 100000", "<=", 0, "", 0),
    Claim("start-live", _START, "exec to interception live", "<=", 20, "ms", 1),
    Claim("start-children", _START, "child processes", "<=", 0, "", 0),
    Claim("start-nft-2", _START, "nftables against BPF, 2 threads", "<=", 1.5),
    Claim("start-nft-32", _START, "nftables against BPF, 32 threads", "<=", 1.5),
    Claim("memory-idle", _MEMORY, "RSS idle, TLS and DNS on", "<=", 4.0, "MB"),
    Claim("memory-connection", _MEMORY, "RSS per idle connection", "<=", 2048, "bytes", 0),
    Claim("many-errors", _MANY, "errors", "<=", 0, "", 0),
    Claim("many-rate", _MANY, "relay rate, against 100", ">=", 0.8),
    Claim("subnets-1000", "lookup with 1000 bypass subnets against 1", "connections/s", ">=", 0.97,
          "", 3),
    Claim("tls-handshakes", "TLS interception against openssl s_server", "handshakes/s, cached name",
          ">=", 0.8),
    Claim("agent-attach", _AGENT, "attach, each", "<=", 5, "ms"),
    Claim("agent-memory", _AGENT, "RSS growth, each", "<=", 20.0, "KB", 1),
)


def holds(claim, measured):
    return measured >= claim.bar if claim.sense == ">=" else measured <= claim.bar


def distance(claim, measured):
    """Returns the distance from the bar, as a fraction of it."""
    return abs(measured - claim.bar) / claim.bar if claim.bar else float("inf")


class Claims:
    """Filled by the cases."""

    def __init__(self):
        self.by_key = {claim.key: claim for claim in CLAIMS}
        self.found = {}
        self.reasons = {}

    def set(self, key, measured, noise=None, **also):
        """@measured is the figure, or None with a reason=. @noise is its floor, as a fraction.
        @also is kept beside it: detail=, unpinned= ..."""
        if key not in self.by_key:
            raise KeyError(f"no claim {key}; harness/claims.py lists them")
        self.found[key] = {"measured": measured, "noise": noise, **also}

    def list(self):
        """As in results.json."""
        listed = []
        for claim in CLAIMS:
            found = dict(self.found.get(claim.key, {"measured": None}))
            measured = found.pop("measured")
            noise = found.pop("noise", None)
            reason = found.pop("reason", None)
            row = {"name": f"{claim.line}: {claim.figure}", "key": claim.key, "measured": measured,
                   "bar": claim.bar, "sense": claim.sense, "unit": claim.unit, "noise": noise,
                   "ok": measured is not None and holds(claim, measured)}
            if measured is None:
                row["reason"] = reason or self.reasons.get(claim.key) or "no case measured it"
            elif noise and distance(claim, measured) < noise:
                row["note"] = (f"noise {noise * 100:.1f} % is more than the distance to the bar, "
                               f"{distance(claim, measured) * 100:.1f} %")
            row.update(found)
            listed.append(row)
        return listed
