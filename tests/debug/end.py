#!/usr/bin/env python3
"""The ends of a session with gdb that starts the monitor itself:  end.py RING3 KERNEL CASE. 77: there is no gdb."""
import os
import shutil
import subprocess
import sys
import tempfile

ring3, kernel, case = sys.argv[1:]
TRIES = 6
CRASH = ["continue", "monitor info backtrace"]
CASES = {  # what gdb is told; False: the report of the guest is not wanted
    "kill": (CRASH + ["kill"], False),
    "quit": (CRASH, None),
    "detach": (CRASH + ["detach"], None),
    "disconnect": (CRASH + ["disconnect"], None),
    "early": (["kill"], False),
    "running": (["break recurse", "continue", "delete", "kill"], False),
}

if not shutil.which("gdb"):
    print("SKIP: no gdb: apt-get install gdb")
    sys.exit(77)
commands, reported = CASES[case]
with tempfile.TemporaryDirectory() as work:
    said = work + "/said"
    monitor = work + "/monitor"
    with open(monitor, "w", encoding="ascii") as script:
        script.write("#!/bin/sh\n'%s' run --gdb stdio -S --append 'crash=overflow pv=on' '%s'\necho $? >'%s/status'\n" %
                     (ring3, kernel, work))
    gdb = ["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-ex", "set pagination off", "-ex",
           "set confirm off", "-ex", "target remote | exec sh '%s'" % monitor]
    for command in commands:
        gdb += ["-ex", command]
    for _ in range(TRIES):
        if os.path.exists(work + "/status"):
            os.unlink(work + "/status")
        with open(said, "wb") as out:
            # A session that hangs would take for ever.
            subprocess.run(gdb + [kernel], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60, check=False,
                           env=dict(os.environ, HOME=work))
        with open(said, encoding="utf8", errors="replace") as text:
            output = text.read()
        for _ in range(100):
            if os.path.exists(work + "/status") and os.path.getsize(work + "/status"):
                break
            subprocess.run(["sleep", "0.1"], check=True)
        else:
            sys.exit("FAIL: the monitor is still there:\n" + output)
        if reported is False and "the guest crashed" in output:
            sys.exit("FAIL: a report of who was killed:\n" + output)
