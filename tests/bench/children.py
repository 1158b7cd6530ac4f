"""Programs under a time limit, with the host's time of what they print. Whatever they leave running is ended, by its id."""
import ctypes
import os
import pty
import select
import signal
import subprocess
import time
import tty

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """What a child leaves running becomes ours to end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children():
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as file:
            found += [int(pid) for pid in file.read().split()]
    return found


def end_children():
    """Kills and reaps all children, and theirs as they are handed to us."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pids = _children()
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


class Output:
    """Bytes, and when they came."""

    def __init__(self):
        self.data, self.arrivals, self.timed_out, self.status = b"", [], False, None
        self.began = time.monotonic()

    def add(self, chunk):
        self.data += chunk
        self.arrivals.append((len(self.data), time.monotonic()))

    def when(self, offset):
        """When the byte before this offset came."""
        return next(at for end, at in self.arrivals if end >= offset)

    def tail(self):
        return self.data.decode(errors="replace")[-1500:]


def run(command, seconds, until=None, terminal=False, env=None):
    """Runs a command until it ends, its output matches the pattern `until`, or the time is over."""
    environment = dict(os.environ, **(env or {}))
    if terminal:
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
    else:
        ours, theirs = os.pipe()
    stdin = theirs if terminal else subprocess.DEVNULL
    if until and not terminal:  # an input that stays open
        stdin, keep = os.pipe()
    output = Output()
    child = subprocess.Popen(command, stdin=stdin, stdout=theirs, stderr=theirs, env=environment,
                             start_new_session=True)
    os.close(theirs)
    deadline = output.began + seconds
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                output.timed_out = True
                break
            if not select.select([ours], [], [], left)[0]:
                continue
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # a terminal whose other side is closed
                chunk = b""
            if not chunk:
                break
            output.add(chunk)
            if until and until.search(output.data):
                break
        else:
            pass
        if not until and not output.timed_out:
            try:
                output.status = child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                output.timed_out = True
    finally:
        os.close(ours)
        if until and not terminal:
            os.close(stdin)
            os.close(keep)
        end_children()
        child.returncode = child.returncode if child.returncode is not None else -signal.SIGKILL
    return output
