# SPDX-License-Identifier: Apache-2.0
"""Writes results.json, results.md and the plots, and prints the table of claims."""

import json
import os
import re

from harness import statistics
from harness.claims import CLAIMS as CLAIM_ENTRIES
from harness.plot import number

# The metrics of a sample that the tables show, with their headings.
METRICS = (
    ("rate", "per second"), ("gbit_s", "Gbit/s"), ("cpu_s_gb", "CPU s/GB"), ("p50_us", "p50 us"),
    ("p99_us", "p99 us"), ("live_ms", "live ms"), ("first_ms", "first connection ms"),
    ("rss_mb", "RSS MB"), ("bytes_per_connection", "bytes per connection"),
    ("attach_ms", "attach ms"), ("growth_kb", "RSS growth KB"),
    ("bpf_ns_per_packet", "BPF ns per packet"), ("bpf_runs_per_packet", "BPF runs per packet"),
)


def groups(bench):
    """Returns {(case, mode, workload): {subject: {metric: values}}} in their order."""
    found = {}
    for sample in bench.samples:
        key = (sample["case"], sample["mode"], sample["workload"])
        subject = found.setdefault(key, {}).setdefault(sample["subject"], {})
        for metric, _ in METRICS:
            if metric in sample:
                subject.setdefault(metric, []).append(sample[metric])
        if sample.get("mss"):
            subject["mss"] = sample["mss"]
        subject["errors"] = subject.get("errors", 0) + sample.get("errors", 0)
    return found


def summary(bench):
    rows = []
    for (case, mode, workload), subjects in groups(bench).items():
        for subject, metrics in subjects.items():
            row = {"case": case, "mode": mode, "workload": workload, "subject": subject,
                   "errors": metrics["errors"]}
            if "mss" in metrics:
                row["mss"] = metrics["mss"]
            for metric, _ in METRICS:
                if metric in metrics:
                    row[metric] = dict(zip(("median", "q1", "q3"),
                                           statistics.spread(metrics[metric])))
                    row[metric]["samples"] = len(metrics[metric])
            rows.append(row)
    return rows


def noise(bench):
    """Returns the floor of each subject that has a twin."""
    rows = []
    for case, mode, workload in groups(bench):
        for metric, _ in METRICS:
            floor = bench.floor(case, workload, metric, mode)
            if floor is not None:
                rows.append({"case": case, "mode": mode, "workload": workload, "metric": metric,
                             "noise": floor})
    return rows


def comparisons(bench):
    """Compares each subject with the first of its group, and says what noise hides."""
    rows = []
    for (case, mode, workload), subjects in groups(bench).items():
        base = next(iter(subjects))
        for metric, _ in METRICS:
            floor = bench.floor(case, workload, metric, mode)
            for subject in list(subjects)[1:]:
                ratio = bench.ratio(case, workload, metric, subject, base, mode)
                if ratio is None:
                    continue
                row = {"case": case, "mode": mode, "workload": workload, "metric": metric,
                       "subject": subject, "against": base, "ratio": ratio}
                words = statistics.hidden(ratio, floor)
                if words:
                    row["note"] = words
                rows.append(row)
    return rows


def shown(claim, value):
    if value is None:
        return "-"
    digits = next(entry.digits for entry in CLAIM_ENTRIES if entry.key == claim["key"])
    return f"{value:.{digits}f}{' ' + claim['unit'] if claim['unit'] else ''}"


def claim_rows(claims):
    rows = [("", "claim", "measured", "bar", "bound", "unpinned", "")]
    for claim in claims:
        remark = claim.get("reason") or claim.get("note") or ""
        rows.append(("ok" if claim["ok"] else "NO", claim["name"], shown(claim, claim["measured"]),
                     f"{claim['sense']} {claim['bar']:g} {claim['unit']}".rstrip(),
                     shown(claim, claim.get("bound")), shown(claim, claim.get("unpinned")),
                     remark))
    return rows


def print_claims(claims):
    rows = claim_rows(claims)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print("  ".join(cells + [row[-1]]).rstrip())
    held = sum(claim["ok"] for claim in claims)
    print(f"{held} of {len(claims)} hold")


def markdown_table(rows):
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] +
                     ["| " + " | ".join(row) + " |" for row in body]) + "\n"


def markdown(bench, results):
    environment = results["environment"]
    parts = [
        "# Benchmark\n",
        f"{environment['cpus']} x {environment['cpu']}"
        f"{' (virtual machine)' if environment['virtual_machine'] else ''}, Linux "
        f"{environment['kernel']}, commit {environment['commit']}. {bench.rounds} interleaved "
        f"rounds of {bench.seconds:g} s for each sample. Ratios are the result; absolute figures "
        "are context.\n",
        "## Claims\n",
        "Measured with everything pinned to one processor; where a figure has several parts "
        "(directions, numbers of clients) it is the worst of them. The bound is what nothing at all in "
        "between would reach, in the same run.\n",
        markdown_table(claim_rows(results["claims"])),
        "## Noise\n",
        "A box against another that is the same: how far from 1 the ratio lies.\n",
        markdown_table([("case", "mode", "workload", "figure", "noise")] +
                       [(row["case"], row["mode"], row["workload"], row["metric"],
                         f"{row['noise'] * 100:.1f} %") for row in results["noise"]]),
    ]
    for (case, mode, workload), subjects in groups(bench).items():
        metrics = [(metric, title) for metric, title in METRICS
                   if any(metric in found for found in subjects.values())]
        if not metrics:
            continue
        base = next(iter(subjects))
        rows = [("", *(title for _, title in metrics), f"ratios to {base}", "MSS", "errors")]
        for subject, found in subjects.items():
            cells, against = [], []
            for metric, _ in metrics:
                if metric not in found:
                    cells.append("-")
                    continue
                median, low, high = statistics.spread(found[metric])
                cells.append(f"{number(median)} ({number(low)} to {number(high)})")
                ratio = (bench.ratio(case, workload, metric, subject, base, mode)
                         if subject != base else None)
                if ratio is not None:
                    words = statistics.hidden(ratio, bench.floor(case, workload, metric, mode))
                    against.append(f"{ratio:.2f}" + (f" ({words})" if words else ""))
            rows.append((subject, *cells, ", ".join(against), str(found.get("mss", "")),
                         str(found["errors"])))
        parts += [f"## {case}: {workload}, {mode}\n", markdown_table(rows)]
    if results["unavailable"]:
        parts += ["## Not measured\n",
                  markdown_table([("what", "why")] + list(results["unavailable"].items()))]
    return "\n".join(parts)


def write(bench, directory, environment):
    """Writes everything; returns the claims."""
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        if name.endswith((".svg", ".md", ".json")):
            os.unlink(os.path.join(directory, name))
    results = {
        "environment": environment,
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "quick": bench.quick,
        "claims": bench.claims.list(),
        "noise": noise(bench),
        "summary": summary(bench),
        "comparisons": comparisons(bench),
        "facts": bench.facts,
        "unavailable": bench.unavailable,
        "seconds_used": bench.seconds_used,
        "raw": bench.samples,
    }
    with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    with open(os.path.join(directory, "results.md"), "w", encoding="utf-8") as file:
        file.write(markdown(bench, results))
    for name, svg in bench.plots:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        with open(os.path.join(directory, slug + ".svg"), "w", encoding="utf-8") as file:
            file.write(svg)
    return results["claims"]
