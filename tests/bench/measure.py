#!/usr/bin/env python3
"""Measures all that docs/performance.md reports, and writes the tables, the plot and the figures there:

    tests/bench/measure.py [--build build] [--docs docs] [--passes 5] [--minutes 11] [--skip bench,idle]

What is compared runs by turns, in several passes, since a machine is not the same from one minute to the next. Systems
that are not installed are left out and named (`apt-get install --no-install-recommends` the packages of group `bench` in
cmake/packages.txt). An idle host gives better figures. No pass is begun that would not end within the minutes.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import children
import report
import systems

LINE = re.compile(rb"bench: (\w+) median ([\d.]+) p10 ([\d.]+) p90 ([\d.]+) samples (\d+) count (\d+)")
END = re.compile(rb"bench: end (\d+)")
START = re.compile(rb"bench: start")
PROMPT = re.compile(rb"ready> ")
LOOP = re.compile(rb"@begin (\w)\s.*?@end \1 ([0-9a-f]{16})(?: (\d+))?[\r\n]", re.S)
ROUNDS = 3  # LOOPS_ROUNDS of loops.h
LOOPS_DONE = re.compile(rb"(?:@end f [0-9a-f]{16}[^\n]*\n.*?){%d}" % ROUNDS, re.S)
PROGRAM_SECONDS, PROMPT_SECONDS, LOOPS_SECONDS = 60, 40, 90
BENCH_SECONDS, IDLE_SECONDS = 240, 90


def say(text):
    print(f"measure.py: {text}", file=sys.stderr, flush=True)


def problem(system, output):
    why = "took too long" if output.timed_out else f"ended with status {output.status}"
    say(f"{system.title}: {why}; it said:\n{output.tail()}")


def run_program(system, budget):
    """The figures of one run: {measure: [median, tenth, ninetieth]} in ns, or None; and the clock's rate, None if all that
    was printed came at once."""
    output = children.run(system.program(["--budget", str(budget)] + system.measures), PROGRAM_SECONDS)
    found = {m[1].decode(): [float(m[2]), float(m[3]), float(m[4])] for m in LINE.finditer(output.data)}
    start, end = START.search(output.data), END.search(output.data)
    if not start or not end:
        problem(system, output)
        return None
    seconds = output.when(end.end()) - output.when(start.end())
    return {"rows": found, "clock": int(end[1]) / 1e9 / seconds if seconds else None}


def run_prompt(system):
    command = system.prompt()
    if not command:
        return None
    output = children.run(command, PROMPT_SECONDS, until=PROMPT, terminal=system.prompt_tty)
    match = PROMPT.search(output.data)
    if not match:
        problem(system, output)
        return None
    return (output.when(match.end()) - output.began) * 1e9


def run_loops(processor):
    """Nanoseconds of each round, by the loop's letter, and the results that it came to."""
    output = children.run(processor.command, LOOPS_SECONDS, until=LOOPS_DONE, env=processor.env)
    times, results = {letter: [] for letter in report.LOOPS}, []
    for match in LOOP.finditer(output.data):
        begin = output.data.index(b"\n", match.start())
        by_host = (output.when(match.end()) - output.when(begin)) * 1e9
        took = int(match[3]) if match[3] else by_host
        times[match[1].decode()] += [took] if took else []  # none, if both lines came at once
        results.append(match[2].decode())
    if len(results) != len(times) * ROUNDS:
        problem(processor, output)
        return None
    return {"times": times, "results": results}


def present(candidates, skipped):
    there = []
    for candidate in candidates:
        lacks = candidate.missing()
        if lacks:
            say(f"left out: {candidate.title}: there is no {lacks}")
            skipped.append(f"{candidate.title}: there is no {lacks}")
        else:
            there.append(candidate)
    return there


def ran(systems_there, passes, skipped):
    """Without those that no pass has a figure of: a host may be too new for what is otherwise there."""
    found = []
    for system in systems_there:
        if any(one["programs"].get(system.key) or one["prompts"].get(system.key) for one in passes):
            found.append(system)
        else:
            skipped.append(f"{system.title}: it did not run here")
    return found


def one_pass(there, processors, budget):
    found = {"programs": {}, "prompts": {}, "loops": {}}
    for system in there:
        found["programs"][system.key] = run_program(system, budget)
        found["prompts"][system.key] = run_prompt(system)
    for processor in processors:
        found["loops"][processor.key] = run_loops(processor)
    results = {tuple(run["results"]) for run in found["loops"].values() if run}
    if len(results) > 1:
        raise SystemExit(f"measure.py: the processors disagree on what the loops compute: {results}")
    return found


def make_passes(there, processors, options, deadline):
    passes, longest = [], 0
    while len(passes) < options.passes and time.monotonic() + longest * 1.1 < deadline:
        began = time.monotonic()
        passes.append(one_pass(there, processors, options.budget))
        longest = max(longest, time.monotonic() - began)
        say(f"pass {len(passes)} of {options.passes} took {time.monotonic() - began:.0f} s")
    return passes


def load():
    with open("/proc/loadavg") as file:
        return float(file.read().split()[0])


def bench_tables(options, page, seconds):
    """The part of the page that `ring3 bench` has figures for."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [os.path.join(options.build, "ring3"), "bench", "--passes", str(options.passes), "--json", file.name]
        output = children.run(command, seconds)
        if output.status != 0:
            say(f"ring3 bench failed or took too long; its tables stay as they are:\n{output.tail()}")
            return
        table = os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.py")
        subprocess.run([sys.executable, table, file.name, page], check=True)


def idle(options):
    here = os.path.dirname(os.path.abspath(__file__))
    output = children.run([os.path.join(here, "idle.sh"), os.path.join(options.build, "ring3"),
                           os.path.join(options.build, "tests/bench/bench_guest.elf"), "5", "500"],
                          IDLE_SECONDS)
    if output.status != 0:
        say(f"idle.sh failed or took too long:\n{output.tail()}")
        return None
    return output.data.decode().strip()


def arguments():
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(source, "build"), help="build directory (build)")
    parser.add_argument("--docs", default=os.path.join(source, "docs"), help="where performance.md is (docs)")
    parser.add_argument("--passes", type=int, default=5, help="passes at most (5)")
    parser.add_argument("--minutes", type=float, default=11, help="time for all (11)")
    parser.add_argument("--budget", type=int, default=300, help="milliseconds for each measure in each run (300)")
    parser.add_argument("--only", default="", help="systems and processors to run, by key; native is always among them")
    parser.add_argument("--skip", default="", help="parts to leave as they are: bench, idle")
    options = parser.parse_args()
    options.source, options.build = source, os.path.abspath(options.build)
    for name in ["ring3", "tests/bench/bench_user", "tests/bench/loops_guest.elf", "examples/tinix.elf"]:
        if not os.path.exists(os.path.join(options.build, name)):
            parser.error(f"{options.build}/{name} is not built: cmake -S . -B build -G Ninja && ninja -C build")
    page = os.path.join(options.docs, "performance.md")
    if not os.access(page, os.W_OK) or not os.access(options.docs, os.W_OK):
        parser.error(f"{page} cannot be written; --docs names another directory, with a copy of it")
    return options


def interrupt(number, frame):
    raise KeyboardInterrupt


def main():
    options = arguments()
    deadline = time.monotonic() + options.minutes * 60
    page = os.path.join(options.docs, "performance.md")
    signal.signal(signal.SIGTERM, interrupt)
    children.adopt_orphans()
    document = {"schema": "ring3-performance", "version": 1, "load_before": load(), "skipped": []}
    with tempfile.TemporaryDirectory(prefix="ring3-measure.") as work:
        tree = systems.Tree(options.build, options.source, work)
        only = set(filter(None, options.only.split(","))) | {"native"}
        every = len(only) == 1
        there = [s for s in systems.all_systems(options.build, options.source, tree, work) if every or s.key in only]
        processors = [p for p in systems.all_loops(options.build, work) if every or p.key in only]
        unknown = only - {one.key for one in there + processors}
        if unknown:
            raise SystemExit(f"measure.py: there is no {', '.join(sorted(unknown))} to run; see all_systems and all_loops")
        there = present(there, document["skipped"])
        processors = present(processors, document["skipped"])
        skip = options.skip.split(",")
        if "bench" not in skip:
            bench_tables(options, page, BENCH_SECONDS)
        document["idle"] = None if "idle" in skip else idle(options)
        passes = make_passes(there, processors, options, deadline)
        there = ran(there, passes, document["skipped"])
    document.update(load_after=load(), passes=len(passes), kernel=os.uname().release,
                    titles={s.key: s.title for s in there}, processors={p.key: p.title for p in processors},
                    side_by_side=report.side_by_side(passes, [s.key for s in there]),
                    clocks=report.clocks(passes, [s.key for s in there]),
                    loops=report.loops(passes, [p.key for p in processors]))
    report.write(document, options.docs, page)
    say(f"wrote {page}, performance.json and performance.svg beside it")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        children.end_children()
        sys.exit(130)
