# SPDX-License-Identifier: Apache-2.0
"""Steering alone and the whole relay, every competitor, all interleaved in the same rounds."""

from harness import statistics

TITLE = "steering alone and the whole relay"
ORDER = 0
CLAIMS = ("loopback-connections", "loopback-bulk", "loopback-pingpong", "iptables-connections",
          "iptables-bulk", "iptables-pingpong", "redsocks-http", "redsocks-bulk", "redsocks-cpu",
          "haproxy-http", "haproxy-bulk", "haproxy-cpu", "relay-loopback-bulk")

MANY = 32

# (name, load, options). The cost of an accepted connection shows only if nobody dials on.
STEER = (
    ("connections, 1 client", "connect", {}),
    ("connections, many clients", "connect", {"clients": MANY}),
    ("bulk up", "upload", {}),
    ("bulk down", "download", {}),
    ("ping-pong", "pingpong", {}),
)
RELAY = (
    ("HTTP per connection", "http", {"clients": MANY}),
    ("HTTP keep-alive", "keepalive", {"clients": MANY}),
    ("bulk up", "upload", {}),
    ("bulk down", "download", {}),
    ("ping-pong", "pingpong", {}),
)

US = "sidestep"
LIMIT = "plain loopback"
ROUTING = "policy routing alone (steer)"
BRIDGE = "plain bridge (relay)"
_STEER_US, _RELAY_US = f"{US} (steer)", f"{US} (relay)"

# The halves of a relay that copies nothing itself, for the bound of bulk: (name, load, options,
# box). The ports: LOAD_DROP and LOAD_PAGES in bench/load/load.h.
HALVES = {
    "bulk up": (
        ("bulk up, received without a copy", "upload", {"extra": ("--port", 8006)}, _STEER_US),
        ("bulk up, sent without a copy", "upload", {"extra": ("--no-copy",)}, BRIDGE)),
    "bulk down": (
        ("bulk down, received without a copy", "download", {"extra": ("--no-copy",)}, BRIDGE),
        ("bulk down, sent without a copy", "download", {"extra": ("--port", 8007)}, _STEER_US)),
}


def start_all(bench, mode):
    """Returns [(name, box, role)]. The limit plays both roles in one box."""
    subjects = []
    for role, workloads in (("steer", STEER), ("relay", RELAY)):
        for module in bench.with_role(role):
            if module.NAME.startswith(LIMIT):
                if role == "relay":
                    continue
                workloads_here = STEER + RELAY[:2]
                name = module.NAME
            else:
                workloads_here = workloads
                name = f"{module.NAME} ({role})"
            box = bench.start(module, role, mode == "pinned")
            if box:
                subjects.append((name, box, {workload[0] for workload in workloads_here}))
    return subjects


def run(bench):
    workloads = list(dict((workload[0], workload) for workload in STEER + RELAY).values())
    for mode in bench.modes:
        subjects = start_all(bench, mode)
        # Bounds are of all work done, on one processor.
        halves = sum(HALVES.values(), ()) if mode == "pinned" else ()
        try:
            # Runs one by one, as interleave() does, because no competitor plays every role.
            for number in range(bench.rounds):
                for workload, load, options in workloads:
                    for name, box, does in subjects:
                        if workload in does:
                            bench.sample("matrix", workload, name, mode, number, box, load,
                                         **options)
                for workload, load, options, name in halves:
                    for subject, box, _ in subjects:
                        if subject == name:
                            bench.sample("matrix", workload, name, mode, number, box, load,
                                         **options)
        finally:
            for _, box, _ in subjects:
                box.close()
    for key, figures, subject, base, bound in PAIRS:
        claim(bench, key, figures, subject, base, bound)
    plot(bench)


_CONNECTIONS = (("connections, 1 client", "rate"), ("connections, many clients", "rate"))
_HTTP = (("HTTP per connection", "rate"),)
_BULK = (("bulk up", "gbit_s"), ("bulk down", "gbit_s"))
_CPU = (("bulk up", "cpu_s_gb"), ("bulk down", "cpu_s_gb"))
_PINGPONG = (("ping-pong", "p50_us"),)


def nothing(bench, workload, metric, base):
    """Returns the bound of steering: plain loopback, with nothing in between. (It is no bound for
    bulk, because packets larger than the kernel's default are possible.)"""
    return bench.ratio("matrix", workload, metric, LIMIT, base)


def routing(bench, workload, metric, base):
    """Returns the bound of steering by routes: the rules, without a program behind them."""
    return bench.ratio("matrix", workload, metric, ROUTING, base)


def one_after_the_other(bench, metric, first, second, base):
    """Returns the time of two steps, each (workload, subject), together on one processor, as a
    ratio to the base's. None if one was not measured."""
    first, second, other = (bench.values("matrix", workload, subject, "pinned", metric)
                            for workload, subject in (first, second, base))
    found = statistics.ratios(statistics.together(metric, first, second), other)
    return statistics.quantile(found, 0.5) if found else None


def two_hops(bench, workload, metric, base):
    """Returns the bound of a relay: a connection over loopback and one over the bridge, without any
    time in between."""
    return one_after_the_other(bench, metric, (workload, LIMIT), (workload, BRIDGE),
                               (workload, base))


def two_halves(bench, workload, metric, base):
    """Returns the bound of a relay's bulk. Each byte passes TCP on two hops, and we steer the one
    over lo. It gets from one hop to the other without copies or with two. The better way counts."""
    hops = (_STEER_US, BRIDGE) if workload == "bulk up" else (BRIDGE, _STEER_US)
    ways = ([(half[0], half[3]) for half in HALVES[workload]], [(workload, hop) for hop in hops])
    found = [bound for way in ways
             if (bound := one_after_the_other(bench, metric, *way, (workload, base))) is not None]
    return (min if metric == "cpu_s_gb" else max)(found, default=None)


# claim, (workload, metric) of which the worst counts, subject, its opponent, the bound
PAIRS = (
    ("loopback-connections", _CONNECTIONS, _STEER_US, LIMIT, routing),
    ("loopback-bulk", _BULK, _STEER_US, LIMIT, None),
    ("loopback-pingpong", _PINGPONG, _STEER_US, LIMIT, None),
    ("iptables-connections", _CONNECTIONS, _STEER_US, "iptables TPROXY (steer)", routing),
    ("iptables-bulk", _BULK, _STEER_US, "iptables TPROXY (steer)", None),
    ("iptables-pingpong", _PINGPONG, _STEER_US, "iptables TPROXY (steer)", nothing),
    ("redsocks-http", _HTTP, _RELAY_US, "redsocks (relay)", two_hops),
    ("redsocks-bulk", _BULK, _RELAY_US, "redsocks (relay)", two_halves),
    ("redsocks-cpu", _CPU, _RELAY_US, "redsocks (relay)", two_halves),
    ("haproxy-http", _HTTP, _RELAY_US, "HAProxy + TPROXY (relay)", two_hops),
    ("haproxy-bulk", _BULK, _RELAY_US, "HAProxy + TPROXY (relay)", two_halves),
    ("haproxy-cpu", _CPU, _RELAY_US, "HAProxy + TPROXY (relay)", two_halves),
    ("relay-loopback-bulk", _BULK, _RELAY_US, LIMIT, two_halves),
)


def claim(bench, key, figures, subject, base, bound):
    """Claims the worst of the pinned figures. Beside it stand all of them, the same unpinned, and
    the bound of the worst."""
    sense = bench.claims.by_key[key].sense
    worst = min if sense == ">=" else max
    detail, noises, bounds = {}, [], {}
    found = {mode: [] for mode in ("pinned", "unpinned")}
    for workload, metric in figures:
        for mode in bench.modes:
            ratio = bench.ratio("matrix", workload, metric, subject, base, mode)
            if ratio is not None:
                found[mode].append(ratio)
                detail[f"{workload}, {mode}"] = round(ratio, 3)
                if mode == "pinned" and bound:
                    bounds[ratio] = bound(bench, workload, metric, base)
        noises += [floor for floor in (bench.floor("matrix", workload, metric, "pinned"),) if floor]
    if not found["pinned"]:
        missing = [name for name in (subject, base) if name in bench.unavailable]
        bench.claim(key, None, reason="; ".join(f"{name}: {bench.unavailable[name]}"
                                                for name in missing) or "no samples")
        return
    measured = worst(found["pinned"])
    bench.claim(key, measured, max(noises, default=None),
                unpinned=worst(found["unpinned"]) if found["unpinned"] else None, detail=detail,
                bound=bounds.get(measured))


def plot(bench):
    for workload, metric, title in (
            ("connections, many clients", "rate", "Steering alone: connections/s"),
            ("bulk up", "gbit_s", "Bulk, container to the outside: Gbit/s"),
            ("bulk down", "gbit_s", "Bulk, from the outside: Gbit/s"),
            ("bulk up", "cpu_s_gb", "Bulk, container to the outside: CPU s/GB (less is better)"),
            ("HTTP per connection", "rate", "Whole relay: HTTP requests/s, a connection each"),
            ("HTTP keep-alive", "rate", "Whole relay: HTTP requests/s, kept alive"),
            ("ping-pong", "p50_us", "Ping-pong, median: microseconds (less is better)")):
        for mode in bench.modes:
            bench.bars("matrix", workload, metric, mode, title)
