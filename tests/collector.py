#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small OTLP/HTTP collector: checks the JSON of each request and prints a line for what is in it.

  collector.py ADDRESS PORT [--tls CERTIFICATE_AND_KEY] [--busy N] [--hang]

With --busy it answers the first N requests 503, and asks to come again in a second. With --hang it accepts
connections and answers nothing. It prints these lines:

  listening                            it accepts connections
  accepted                             with --hang, for each connection
  busy                                 it answered 503
  handshake ...                        the client did not like the certificate
  header NAME VALUE                    for each field of a request that begins with "x-"
  metric NAME LABEL=VALUE,... VALUE    for each data point
  event TYPE REASON NAME LABELS        for each log record; those of its container, if it has one
  wrong ...                            the protocol does not allow this
"""
import argparse
import http.server
import json
import socketserver
import ssl

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
            labels = (event["container"] or {}).get("labels", "")
            yield f"event {event['type']} {event['reason']} {event['name']} {labels}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for name, value in self.headers.items():
            if name.lower().startswith("x-"):
                print(f"header {name} {value}", flush=True)
        if options.busy > 0:
            options.busy -= 1
            print("busy", flush=True)
            self.answer(503, {"Retry-After": "1"})
            return
        parts = {"/v1/metrics": metrics, "/v1/logs": events}[self.path]
        if self.headers["Content-Type"] != "application/json":
            print("wrong type", flush=True)
        for line in parts(json.loads(body)):
            print(line, flush=True)
        self.answer(200, {})

    def answer(self, status, fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments):
        pass


class Server(socketserver.TCPServer):
    """An HTTPServer would look its own name up."""

    allow_reuse_address = True

    def finish_request(self, request, client_address):
        if options.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls)
            try:
                request = context.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError) as error:
                print(f"handshake {error}", flush=True)
                return
        super().finish_request(request, client_address)


parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("port", type=int)
parser.add_argument("--tls")
parser.add_argument("--busy", type=int, default=0)
parser.add_argument("--hang", action="store_true")
options = parser.parse_args()
server = Server((options.address, options.port), Handler)
print("listening", flush=True)
kept = []
while options.hang:
    kept.append(server.get_request())
    print("accepted", flush=True)
server.serve_forever()
