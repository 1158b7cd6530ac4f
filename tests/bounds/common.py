"""What the tests of bounds share: a guest that is started, seen at work, told to end, and judged by how soon it did."""

import signal
import subprocess
import sys
import time

# A signal or the time limit is answered within this. A busy host may take longer to run us: the best of some attempts
# counts, and a monitor that does not answer takes seconds in each.
ANSWER = 0.1
# When the time limit is over the report follows, whose own limit is 2 s.
LIMIT_ANSWER = 1
ATTEMPTS = 6
GIVE_UP = 20


def fail(text):
    print("FAIL:", text)
    sys.exit(1)


def kill(process):
    process.kill()
    process.wait()


def wait(process, since):
    """Seconds from `since` until the process ended."""
    try:
        process.wait(GIVE_UP)
    except subprocess.TimeoutExpired:
        kill(process)
    return time.monotonic() - since


def until_ready(process):
    line = process.stdout.readline()
    if line != b"ready\n":
        kill(process)
        fail("the guest says %r, not that it is ready" % line)


def answers(how, start, at_work=until_ready, delay=0.15):
    """
    Starts the monitor by start(options), lets at_work(process) see it begin and gives it `delay` to get going; then it
    is to end: by a signal (int, term), or because its time, which is then already over, is looked at (timeout).
    """
    best = GIVE_UP
    for _ in range(ATTEMPTS):
        if how == "timeout":
            limit = 0.6
            since = time.monotonic() + limit
            process = start(["--timeout", str(limit)])
            expected = 124
        else:
            process = start(["--timeout", "300"])
            at_work(process)
            time.sleep(delay)
            number = signal.SIGINT if how == "int" else signal.SIGTERM
            since = time.monotonic()
            process.send_signal(number)
            expected = 128 + number
        if process.poll() is not None:
            fail("it ended by itself: status %d" % process.returncode)
        best = min(best, wait(process, since))
        if process.returncode != expected and process.returncode >= 0:
            fail("status %d, expected %d" % (process.returncode, expected))
        if best < (LIMIT_ANSWER if how == "timeout" else ANSWER):
            return
    fail("answered after %.3f s at best" % best)
