#!/usr/bin/env python3
"""Holds a conversation with a guest's console and judges it:

    console.py [--limit S] [--status N] [expect TEXT | send TEXT | end]... -- COMMAND...

Waits for each TEXT in turn in what COMMAND prints, control sequences of terminals left out, and sends each TEXT to it,
with a newline. `end` asks it to end by SIGTERM. At last COMMAND must exit with the status. TEXT is a regular expression for expect."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time


SEQUENCE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
BEGUN = re.compile(rb"\x1b(\[[0-9;?]*)?$")


class Console:
    def __init__(self, command, limit):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.deadline = time.monotonic() + limit
        self.text = b""
        self.rest = b""  # the beginning of a control sequence
        self.seen = 0

    def fail(self, why):
        self.process.kill()
        status = self.process.wait()
        sys.stdout.write(f"FAIL: {why} (status {status})\n--- the console\n")
        sys.stdout.write(self.text[-6000:].decode("utf-8", "replace"))
        sys.exit(1)

    def read(self):
        """More of the output; False at its end."""
        left = self.deadline - time.monotonic()
        if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
            self.fail("time is out")
        data = os.read(self.process.stdout.fileno(), 65536)
        plain = SEQUENCE.sub(b"", self.rest + data)
        begun = BEGUN.search(plain)
        self.rest = begun.group() if begun else b""
        self.text += plain[: len(plain) - len(self.rest)]
        return bool(data)

    def expect(self, text):
        pattern = re.compile(text.encode(), re.S)
        while not (match := pattern.search(self.text, self.seen)):
            if not self.read():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(10)
                self.fail(f"no '{text}' before the end")
        self.seen = match.end()

    def send(self, text):
        try:
            self.process.stdin.write(text.encode() + b"\n")
        except BrokenPipeError:
            self.fail(f"nobody takes '{text}'")

    def finish(self, status):
        while self.read():
            pass
        got = self.process.wait()
        if got != status:
            self.fail(f"status {got}, not {status}")


def main():
    words = sys.argv[1:]
    limit, status, steps = 100.0, 0, []
    while words and words[0] != "--":
        word = words.pop(0)
        if word == "--limit":
            limit = float(words.pop(0))
        elif word == "--status":
            status = int(words.pop(0))
        elif word == "end":
            steps.append((word, ""))
        else:
            steps.append((word, words.pop(0)))
    console = Console(words[1:], limit)
    for step, text in steps:
        if step == "end":
            console.process.send_signal(signal.SIGTERM)
        else:
            {"expect": console.expect, "send": console.send}[step](text)
    console.finish(status)


if __name__ == "__main__":
    main()
