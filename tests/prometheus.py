#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks a Prometheus for every query of deploy/grafana-dashboard.json, and for the state of its rules.

  prometheus.py URL DASHBOARD

Each query must have a result, and each rule must have been evaluated without an error. The status is 1 if one
does not within 90 s, because rates need several scrapes.
"""
import json
import re
import sys
import time
import urllib.parse
import urllib.request

LIMIT = 90


def ask(url, path, **arguments):
    query = urllib.parse.urlencode(arguments)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=30) as answer:
        return json.load(answer)["data"]


def queries(dashboard):
    """The queries as Grafana sends them, with its variables filled in."""
    with open(dashboard, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    for panel in panels:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "4s").replace("$instance", ".*")
            unknown = re.search(r"\$\w+", query)
            if unknown:
                raise SystemExit(f"unknown variable {unknown.group(0)}: {query}")
            yield panel["title"], query


def until(what, look):
    """Waits until look() returns nothing. It returns the faults."""
    end = time.monotonic() + LIMIT
    while True:
        faults = look()
        if not faults or time.monotonic() > end:
            return [f"{what}: {fault}" for fault in faults]
        time.sleep(0.3)


def bad_rules(url):
    rules = [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]
    if not rules:
        return ["no rules"]
    return [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in rules if rule["health"] != "ok"]


def main():
    url, dashboard = sys.argv[1:]
    all_queries = list(queries(dashboard))
    faults = until("no result", lambda: [f"{title}: {query}" for title, query in all_queries
                                         if not ask(url, "query", query=query)["result"]])
    faults += until("rule", lambda: bad_rules(url))
    print("\n".join(faults) or f"{len(all_queries)} queries have results")
    return 1 if faults else 0


sys.exit(main())
