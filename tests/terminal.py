#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a pseudo terminal (a VT100 of 120 columns and 40 lines, or SIZE=80x24), types, and reads the screen.

  terminal.py STEP... -- COMMAND...

  key TEXT      types it (escapes such as \\r are those of Python)
  see REGEX     waits until a line of the screen matches, 10 s at most
  save FILE     writes the screen there
  run COMMAND   runs it in a shell, whatever its status
  end STATUS    waits until the program has ended with this status

The first step that fails prints the screen, and the status is 1.
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

COLUMNS, LINES = map(int, os.environ.get("SIZE", "120x40").split("x"))
LIMIT = 10


class Screen:
    """The part of a VT100 that ncurses uses."""

    def __init__(self):
        self.rest = ""
        self.line = self.column = 0
        self.clear(0, LINES)

    def clear(self, first, last):
        if first == 0:
            self.text = [[" "] * COLUMNS for _ in range(LINES)]
        else:
            self.text[first:last] = [[" "] * COLUMNS for _ in range(first, last)]

    def control(self, numbers, letter):
        values = [int(number or 0) for number in numbers.lstrip("?").split(";")]
        count = max(values[0], 1)
        if letter == "H":
            self.line = min(count, LINES) - 1
            self.column = min(max(values[1] if len(values) > 1 else 1, 1), COLUMNS) - 1
        elif letter == "J":
            self.text[self.line][self.column:] = [" "] * (COLUMNS - self.column)
            self.clear(self.line + 1 if values[0] == 0 else 0, LINES)
        elif letter == "K":
            first, last = (self.column, COLUMNS) if values[0] == 0 else (0, self.column + 1)
            self.text[self.line][first:last] = [" "] * (last - first)
        elif letter == "A":
            self.line = max(self.line - count, 0)
        elif letter == "B":
            self.line = min(self.line + count, LINES - 1)
        elif letter == "C":
            self.column = min(self.column + count, COLUMNS - 1)
        elif letter == "D":
            self.column = max(self.column - count, 0)

    def feed(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            char = data[at]
            if char == "\x1b":
                found = re.compile(r"\x1b(?:\[([0-9;?]*)([A-Za-z])|[()].|[^\[()])").match(data, at)
                if not found:
                    break
                if found.group(2):
                    self.control(found.group(1), found.group(2))
                elif found.group(0) == "\x1bM":
                    self.line = max(self.line - 1, 0)
                at = found.end()
                continue
            if char == "\r":
                self.column = 0
            elif char == "\n":
                self.line = min(self.line + 1, LINES - 1)
            elif char == "\b":
                self.column = max(self.column - 1, 0)
            elif char >= " ":
                self.text[self.line][self.column] = char
                self.column = min(self.column + 1, COLUMNS - 1)
            at += 1
        self.rest = data[at:]

    def __str__(self):
        return "\n".join("".join(line).rstrip() for line in self.text)


class Program:
    def __init__(self, command):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "vt100"
            os.execvp(command[0], command)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.screen = Screen()

    def read(self, seconds):
        """Returns false at the end."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.screen.feed(data.decode("utf-8", "replace"))
        return len(data) > 0

    def see(self, pattern):
        until = time.monotonic() + LIMIT
        while not re.search(pattern, str(self.screen), re.M):
            left = until - time.monotonic()
            if left <= 0 or not self.read(left):
                return False
        return True

    def end(self, status):
        while self.read(LIMIT):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == status


def main():
    split = sys.argv.index("--")
    steps = sys.argv[1:split]
    program = Program(sys.argv[split + 1:])
    for name, value in zip(steps[::2], steps[1::2]):
        if name == "key":
            os.write(program.terminal, value.encode().decode("unicode_escape").encode())
            continue
        if name == "save":
            with open(value, "w", encoding="utf-8") as file:
                file.write(str(program.screen))
            continue
        if name == "run":
            subprocess.run(value, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            continue
        done = program.see(value) if name == "see" else program.end(int(value))
        if not done:
            print(f"step failed: {name} {value}; the screen:\n{program.screen}", file=sys.stderr)
            return 1
    print(program.screen)
    return 0


sys.exit(main())
