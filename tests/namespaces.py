#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program that may clone into no new namespaces but these, as under systemd's RestrictNamespaces=.

tests/namespaces.py "net pid" PROGRAM [ARGUMENT...]. clone3(2) fails with ENOSYS, because a filter cannot see its
flags (src/shared/seccomp-util.c of systemd). The caller holds no_new_privs.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

FLAGS = {"mnt": 1 << 17, "cgroup": 1 << 25, "uts": 1 << 26, "ipc": 1 << 27, "user": 1 << 28, "pid": 1 << 29, "net": 1 << 30}
CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]
CLONE3 = 435
PR_SET_SECCOMP, MODE_FILTER = 22, 2
# linux/filter.h and linux/seccomp.h
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16
ALLOW, ERROR = 0x7FFF0000, 0x00050000


def restrict(allowed):
    refused = sum(flag for name, flag in FLAGS.items() if name not in allowed)
    lines = (
        (LOAD, 0, 0, NUMBER),
        (EQUAL, 4, 0, CLONE3),
        (EQUAL, 0, 2, CLONE),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 2, 0, refused),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERROR | errno.ENOSYS),
        (RETURN, 0, 0, ERROR | errno.EPERM),
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    head = ctypes.create_string_buffer(struct.pack("H6xQ", len(lines), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot install the filter")


if __name__ == "__main__":
    restrict(sys.argv[1].split())
    os.execvp(sys.argv[2], sys.argv[2:])
