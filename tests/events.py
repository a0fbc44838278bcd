#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads events for the tests.

  events.py check FILE...             every line is valid by docs/event.schema.json; prints their number
  events.py select FILE KEY=VALUE...  prints the events whose fields have these values, in JSON
  events.py told FILE REASON KEY=VALUE...
                                      the first field selects one event, which has this reason, the other fields
                                      and, of a connection, a message
  events.py sum FILE FIELD            prints the sum of a field
  events.py follow SOCKET REQUEST     sends the request, and prints what comes
  events.py stall SOCKET REQUEST      sends the request, prints "stalled", reads nothing until SIGUSR1, then all
  events.py gateway ADDRESS PORT      a gateway that does by the destination's port: 1 hangs up, 2 answers and
                                      resets, 3 answers 407, 4 answers and waits. 5 answers with Via
  events.py reset ADDRESS PORT        connects, waits for a byte, and resets
  events.py hello ADDRESS PORT [HEX]  begins TLS 1.2, waits for the server's certificate, sends these bytes and closes.
                                      Without them it waits for the server's end
  events.py many ADDRESS              holds connections that have sent a byte, to its ports from 1 on, until one of
                                      them is reset. Prints that one's port
  events.py journald                  takes journald's datagrams, and prints their fields
"""

import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
from select import POLLERR, poll

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "event.schema.json")


def events(path):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                sys.exit(f"{path}:{number}: {error}: {line!r}")


def check(*paths):
    from jsonschema import Draft202012Validator

    with open(SCHEMA, encoding="utf-8") as schema:
        schema = json.load(schema)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    count = 0
    for path in paths:
        for event in events(path):
            error = next(validator.iter_errors(event), None)
            if error:
                sys.exit(f"{path}: {error.json_path}: {error.message}: {json.dumps(event)}")
            count += 1
    print(count)


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def select(path, *conditions):
    wanted = [condition.split("=", 1) for condition in conditions]
    for event in events(path):
        if all(text(event[key]) == value for key, value in wanted):
            print(json.dumps(event))


def told(path, reason, first, *others):
    key, value = first.split("=", 1)
    found = [event for event in events(path) if text(event[key]) == value]
    if len(found) != 1:
        sys.exit(f"{len(found)} events have {first}")
    wanted = [("reason", reason), *(condition.split("=", 1) for condition in others)]
    if any(text(found[0][key]) != value for key, value in wanted) or found[0]["type"] == "connection" and not found[0]["message"]:
        sys.exit(f"another event: {json.dumps(found[0])}")


def total(path, field):
    print(sum(event[field] or 0 for event in events(path)))


def ask(path, request):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(request.encode() + b"\n")
    return client


def follow(path, request):
    with ask(path, request) as client:
        while data := client.recv(1 << 16):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def stall(path, request):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    with ask(path, request) as client:
        print("stalled", flush=True)
        signal.sigwait([signal.SIGUSR1])
        while data := client.recv(1 << 16):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def reset_on_close(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def serve(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data:
            return
        head += data
    what = int(head.split()[1].rsplit(b":", 1)[1])
    if what == 3:
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                           b"Proxy-Authenticate: Basic realm=planted\r\n\r\n")
    if what == 5:
        connection.sendall(b"HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n\r\n")
    if what in (2, 4):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n.")
        connection.recv(1)
    if what == 2:
        reset_on_close(connection)
    else:
        connection.close()


def gateway(address, port):
    listener = socket.create_server((address, int(port)))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def reset(address, port):
    client = socket.create_connection((address, int(port)))
    client.recv(1)
    reset_on_close(client)


def hello(address, port, rest=None):
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="a.example").do_handshake()
    except ssl.SSLWantReadError:
        pass
    with socket.create_connection((address, int(port))) as client:
        client.sendall(out.read())
        client.recv(1)
        if rest is not None:
            client.sendall(bytes.fromhex(rest))
            client.shutdown(socket.SHUT_WR)
        try:
            while client.recv(4096):
                pass
        except ConnectionResetError:
            pass


def many(address):
    waiting, held = poll(), {}
    for port in range(1, 20000):
        client = socket.socket()
        held[client.fileno()] = client, port
        waiting.register(client, POLLERR)
        try:
            client.connect((address, port))
            client.sendall(b"x")
        except ConnectionResetError:
            print(port)
            return
        for descriptor, _ in waiting.poll(0):
            print(held[descriptor][1])
            return


def journald():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind("/run/systemd/journal/socket")
        print("ready", flush=True)
        while True:
            print(journal.recv(1 << 16).decode().replace("\n", "|"), flush=True)


COMMANDS = {"check": check, "select": select, "told": told, "sum": total, "follow": follow, "stall": stall,
            "gateway": gateway, "reset": reset, "hello": hello, "many": many, "journald": journald}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
