#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small OTLP/HTTP collector: checks the JSON of each request and prints a line for what is in it.

  collector.py ADDRESS PORT

It prints these lines:

  listening                            it accepts connections
  metric NAME LABEL=VALUE,... VALUE    for each data point
  event TYPE REASON NAME               for each log record
  wrong ...                            the protocol does not allow this
"""
import http.server
import json
import socketserver
import sys

KINDS = {"sum", "gauge", "histogram"}


def attributes(entries):
    return {entry["key"]: entry["value"]["stringValue"] for entry in entries}


def metrics(request):
    for resource in request["resourceMetrics"]:
        if attributes(resource["resource"]["attributes"])["service.name"] != "sidestep":
            yield "wrong resource"
        for metric in resource["scopeMetrics"][0]["metrics"]:
            kind = (KINDS & metric.keys()).pop()
            if kind != "gauge" and metric[kind]["aggregationTemporality"] != 2:
                yield f"wrong temporality of {metric['name']}"
            for point in metric[kind]["dataPoints"]:
                if kind == "histogram" and sum(map(int, point["bucketCounts"])) != int(point["count"]):
                    yield f"wrong buckets of {metric['name']}"
                if kind == "histogram" and len(point["bucketCounts"]) != len(point["explicitBounds"]) + 1:
                    yield f"wrong bounds of {metric['name']}"
                labels = ",".join(f"{key}={value}" for key, value in attributes(point["attributes"]).items())
                yield f"metric {metric['name']} {labels} {point.get('asDouble', point.get('count'))}"


def events(request):
    for resource in request["resourceLogs"]:
        for record in resource["scopeLogs"][0]["logRecords"]:
            event = json.loads(record["body"]["stringValue"])
            int(record["timeUnixNano"])
            if attributes(record["attributes"])["event.type"] != event["type"]:
                yield "wrong attribute"
            yield f"event {event['type']} {event['reason']} {event['name']}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = {"/v1/metrics": metrics, "/v1/logs": events}[self.path]
        if self.headers["Content-Type"] != "application/json":
            print("wrong type", flush=True)
        for line in parts(json.loads(body)):
            print(line, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments):
        pass


# An HTTPServer would look its own name up.
server = socketserver.TCPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("listening", flush=True)
server.serve_forever()
