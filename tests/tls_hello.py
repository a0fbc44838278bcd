#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tls_hello.py ADDRESS PORT NAME [SEGMENT] sends the ClientHello of Go's crypto/tls (RFC 8446 section 4.1.2).

Like Go 1.24 it offers the key shares X25519MLKEM768 and X25519. It sends segments of SEGMENT bytes and prints
the server's choice: "ServerHello suite=0x1301 group=0x001d". Status 1 for any other answer.
"""
import os
import socket
import struct
import sys


def vector(width, data):
    return len(data).to_bytes(width, "big") + data


def words(*values):
    return b"".join(struct.pack("!H", value) for value in values)


def extension(number, body):
    return words(number) + vector(2, body)


def client_hello(name):
    suites = words(0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014,
                   0x1301, 0x1302, 0x1303)
    # 1184 bytes of ML-KEM-768 and 32 of X25519. A server that does not know the group ignores them.
    shares = words(0x11EC) + vector(2, os.urandom(1216)) + words(0x001D) + vector(2, os.urandom(32))
    extensions = b"".join((
        extension(0, vector(2, b"\0" + vector(2, name.encode()))),
        extension(5, b"\1\0\0\0\0"),
        extension(10, vector(2, words(0x11EC, 0x001D, 0x0017, 0x0018, 0x0019))),
        extension(11, b"\1\0"),
        extension(13, vector(2, words(0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601,
                                      0x0503, 0x0603, 0x0201, 0x0203))),
        extension(0xFF01, b"\0"),
        extension(23, b""),
        extension(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1"))),
        extension(18, b""),
        extension(43, vector(1, words(0x0304, 0x0303))),
        extension(51, vector(2, shares)),
    ))
    body = (words(0x0303) + os.urandom(32) + vector(1, os.urandom(32)) + vector(2, suites)
            + b"\1\0" + vector(2, extensions))
    return b"\x16\x03\x01" + vector(2, b"\1" + vector(3, body))


def read(stream, size):
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            sys.exit(f"closed after {data!r}")
        data += part
    return data


def chosen(record):
    """Suite and group of a ServerHello."""
    position = 4 + 2 + 32
    position += 1 + record[position]
    suite = int.from_bytes(record[position:position + 2], "big")
    position += 3 + 2
    while position < len(record):
        number, size = struct.unpack("!HH", record[position:position + 4])
        if number == 51:
            return suite, int.from_bytes(record[position + 4:position + 6], "big")
        position += 4 + size
    return suite, 0


def main():
    address, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    hello = client_hello(name)
    segment = int(sys.argv[4]) if len(sys.argv) > 4 else len(hello)
    with socket.create_connection((address, port), timeout=10) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(hello), segment):
            stream.sendall(hello[start:start + segment])
        header = read(stream, 5)
        record = read(stream, int.from_bytes(header[3:], "big"))
    if header[0] != 22 or record[0] != 2:
        sys.exit(f"no ServerHello: {header!r} {record[:32]!r}")
    print("ServerHello suite=0x%04x group=0x%04x" % chosen(record))


main()
