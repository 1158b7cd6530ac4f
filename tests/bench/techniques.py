#!/usr/bin/env python3
"""Software and hardware techniques compared: the tables of docs/performance.md where all engines stand beside QEMU's
translator, all of them running the same images, and by turns:

    tests/bench/techniques.py [--build build] [--tables nano,calls,work,gzip,prompt] [--passes 1] [--into FILE] [--page PAGE]

nano: the nanobenchmarks (nano_guest.c). calls: what programs pay in tinix (bench_user.c). work, gzip: what makes its kernel
work, and what does not. prompt: from exec to its shell's prompt. Passes are added to FILE, so that they may be taken one by
one; the tables, of all passes in it, are printed, or replaced in PAGE. They show the best tenth of each measure's samples, or
the shortest run, since whatever disturbs only adds.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
import children
import measure
import report
import systems

QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-display", "none", "-serial", "stdio",
        "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
CALLS = ["syscall", "fork", "exec", "pipe"]
WORK_SECONDS = 100

NANO = {
    "syscall": "**syscall**: user to kernel and back",
    "in": "**in**: the interrupt controller's mask",
    "cr8wr": "**cr8wr**: MOV to CR8",
    "callret": "**call/ret**, the pair",
    "pgfault": "**pgfault**: to the kernel's handler and back",
    "divzero": "**divzero**, likewise",
    "ptemod": "**ptemod**: a store to a page table in use",
    "remap": "the same, with INVLPG and an access",
    "mask": "CLI and STI, the pair",
    "flags": "PUSHF and POPF, the pair",
    "integer": "integer loop, a turn of 15 instructions",
    "memory": "memory loop, a turn of 10",
    "hypercall": "null hypercall",
    "fresh": "a block of 6 instructions, executed the first time",
    "forkwait": "**forkwait**, two processes of 32 pages",
}
# What runs between two marks, after PREPARE; the host takes the time.
PREPARE = "i=0; mkdir /tmp/d; while [ $i -lt 32 ]; do cp /bin/busybox /tmp/d/$i; i=$((i+1)); done"
WORK = {
    "find": ("`find /`, 100 times", "i=0; while [ $i -lt 100 ]; do find / -xdev >/dev/null; i=$((i+1)); done"),
    "tar": ("`tar` of 64 MiB, 5 times", "i=0; while [ $i -lt 5 ]; do tar cf /tmp/t -C /tmp/d .; rm /tmp/t; i=$((i+1)); done"),
}
GZIP = {"gzip": ("`gzip -1` of 64 MiB", "cat /tmp/d/* | gzip -1 >/dev/null")}


class Way:
    """One way to run a guest: an engine with pv= and a number of CPUs, or QEMU."""

    def __init__(self, key, title, engine=None, pv="off", cpus=1):
        self.key, self.title, self.engine, self.pv, self.cpus = key, title, engine, pv, cpus

    def missing(self):
        lacks = not self.engine and not shutil.which(QEMU[0])
        return f"{QEMU[0]} (package qemu-system-x86)" if lacks else None

    def command(self, build, kernel, memory, words, initramfs=None):
        kernel, words = os.path.join(build, kernel), f"pv={self.pv} {words}"
        command = QEMU if not self.engine else [os.path.join(build, "ring3"), "run", "--engine", self.engine, "--cpus",
                                                str(self.cpus)]
        return [*command, "-m", f"{memory}M", *(["-initrd", initramfs] if initramfs else []), "-append", words, "-kernel", kernel]


WAYS = [
    Way("trap_on", "`trap`, pv=on", "trap", "on"), Way("trap_on2", "", "trap", "on", 2),
    Way("trap", "`trap`", "trap"), Way("trap2", "", "trap", "off", 2),
    Way("translate", "`translate`", "translate"), Way("translate2", "", "translate", "off", 2),
    Way("hybrid", "`hybrid`", "hybrid"), Way("hybrid2", "", "hybrid", "off", 2),
    Way("interpret", "`interpret`", "interpret"),
    Way("tcg", "QEMU TCG"),
]


class Program:
    """What measure.run_program runs."""

    def __init__(self, title, command):
        self.title, self.command, self.measures = title, command, []

    def program(self, words):
        return self.command


# ---------------------------------------------------------------------------------------------------------- one pass


def rows_of(command, title):
    found = measure.run_program(Program(title, command), 0)
    if not found:
        return {}
    clock = {"clock": [found["clock"]] * 2} if found["clock"] else {}
    return {**{row: figures[:2] for row, figures in found["rows"].items()}, **clock}


def nano(options, ways, tree):
    found = {way.key: rows_of(way.command(options.build, "tests/bench/nano_guest.elf", 64, f"budget={options.budget}"), way.key)
             for way in ways}
    found["native"] = rows_of([os.path.join(options.build, "tests/bench/nano_native"), "--budget", str(options.budget)], "native")
    return found


def calls(options, ways, tree):
    words = f"init=/bench_user -- --budget {options.budget} " + " ".join(CALLS)
    return {way.key: rows_of(way.command(options.build, "examples/tinix.elf", systems.MEMORY, words, tree.archive), way.key)
            for way in ways if way.engine != "interpret"}


def scripted(options, ways, tree, parts):
    steps = "; ".join(f"echo @begin {name}; {script}; echo @end {name}" for name, (_, script) in parts.items())
    words, found = f'init=/bin/sh -- -c "{PREPARE}; {steps}; poweroff -f"', {}
    for way in ways:
        if way.engine == "interpret":
            continue
        output = children.run(way.command(options.build, "examples/tinix.elf", systems.MEMORY, words, tree.archive), WORK_SECONDS)
        marks = re.finditer(rb"@begin (\w+)\s.*?@end \1", output.data, re.S)
        took = {m[1].decode(): (output.when(m.end()) - output.when(output.data.index(b"\n", m.start()) + 1)) * 1e9 for m in marks}
        if len(took) != len(parts):
            measure.problem(way, output)
        found[way.key] = {name: [ns, ns] for name, ns in took.items()}
    return found


def work(options, ways, tree):
    return scripted(options, ways, tree, WORK)


def gzip(options, ways, tree):
    return scripted(options, [way for way in ways if way.cpus == 1], tree, GZIP)


def prompt(options, ways, tree):
    found = {}
    for way in ways:
        command = way.command(options.build, "examples/tinix.elf", 256, "init=/bin/sh -- -il", tree.archive)
        output = children.run(command, measure.PROMPT_SECONDS, until=measure.PROMPT, terminal=True)
        match = measure.PROMPT.search(output.data)
        if match:
            ns = (output.when(match.end()) - output.began) * 1e9
            found[way.key] = {"prompt": [ns, ns]}
        else:
            measure.problem(way, output)
    return found


TABLES = {
    "nano": (nano, NANO),
    "calls": (calls, {row: report.ROWS[row] for row in CALLS}),
    "work": (work, {row: title for row, (title, _) in WORK.items()}),
    "gzip": (gzip, {row: title for row, (title, _) in GZIP.items()}),
    "prompt": (prompt, {"prompt": "start to shell prompt"}),
}

# ------------------------------------------------------------------------------------------------------------ figures


def is_trusted(rows):
    """On a busy host a guest may have taken the rate of its clock wrong."""
    return all(abs(rate - 1) < 0.03 for rate in rows.get("clock", []))


class Figures:
    """Of all passes together."""

    def __init__(self, passes):
        self.passes = passes

    def known(self, key, row):
        found = [one["found"].get(key, {}) for one in self.passes]
        return [rows[row] for rows in found if row in rows and is_trusted(rows)]

    def best(self, key, row):
        known = self.known(key, row)
        return min(pair[1] for pair in known) if known else None


def duration(ns):
    return f"{ns:.2f} ns" if ns is not None and ns < 10 else report.duration(ns) if ns is not None else "-"


def cell(figures, key, row):
    """One CPU, and two where that makes a difference."""
    one, two = figures.best(key, row), figures.best(key + "2", row)
    if one is None or two is None or 0.8 < one / two < 1.25:
        return duration(one if two is None or one is None else min(one, two))
    return f"{duration(one)} / {duration(two)}"


def table(figures, rows):
    keys = [way.key for way in WAYS if not way.key.endswith("2") and any(figures.known(way.key, row) for row in rows)]
    native = ["native"] if any(figures.known("native", row) for row in rows) else []
    titles = {way.key: way.title for way in WAYS} | {"native": "native"}
    keys = native + keys
    yield "| what | " + " | ".join(titles[key] for key in keys) + " |"
    yield "|---|" + "---|" * len(keys)
    for row, title in rows.items():
        yield f"| {title} | " + " | ".join(cell(figures, key, row) for key in keys) + " |"


def reaches(all_figures):
    """(what, reach, measured, factor by which it was missed)"""
    of = {name: Figures(passes) for name, passes in all_figures.items()}

    def least(table_name, key, row):
        """Of one CPU and two the better."""
        found = [of[table_name].best(k, row) for k in (key, key + "2")] if table_name in of else []
        return min((ns for ns in found if ns is not None), default=None)

    def at_most(row, limit, what):
        ns = least("nano", "translate", row)
        if ns is not None:
            yield what, f"at most {duration(limit)}", duration(ns), ns / limit

    def of_native(row, share, what):
        native, ours = of["nano"].best("native", row), least("nano", "translate", row)
        if native and ours:
            yield what, f"at least {share} of native", f"{native / ours:.3f}", share * ours / native

    def ratio(table_name, row, peer, what, times, key="translate"):
        """Each placement against the same of the peer's."""
        for suffix, where in (("", ", one CPU"), ("2", ", two CPUs")):
            ours = of[table_name].best(key + suffix, row)
            theirs = of[table_name].best(peer if peer == "tcg" else peer + suffix, row)
            if ours and theirs:
                yield what + where, times[0], f"{times[1](ours, theirs):.2f}", times[2](ours, theirs)

    def within(limit):
        return f"at most {limit} times", lambda ours, theirs: ours / theirs, lambda ours, theirs: ours / theirs / limit

    def ahead(factor):
        return (f"at least {factor} times ahead", lambda ours, theirs: theirs / ours, lambda ours, theirs: factor * ours / theirs)

    if "nano" in of:
        yield from of_native("integer", 0.95, "integer loop in kernel mode")
        yield from of_native("memory", 0.9, "memory loop in kernel mode")
        for row, limit, what in (("mask", 8, "CLI and STI"), ("flags", 8, "PUSHF and POPF"), ("cr8wr", 8, "cr8wr"),
                                 ("callret", 2, "call/ret")):
            yield from at_most(row, limit, what)
        for suffix, where in (("", ", one CPU"), ("2", ", two CPUs")):
            call, ns = (of["nano"].best("translate" + suffix, row) for row in ("hypercall", "in"))
            if call and ns:
                yield "in" + where, f"at most a null hypercall ({duration(call)})", duration(ns), ns / call
        yield from at_most("divzero", 150, "divzero")
        yield from at_most("ptemod", 40, "ptemod")
        yield from at_most("fresh", 2000, "a block of code translated, and executed")
        for row in ("syscall", "in", "cr8wr", "callret", "pgfault", "divzero", "ptemod", "forkwait"):
            ours, theirs = least("nano", "translate", row), of["nano"].best("tcg", row)
            if ours and theirs:
                yield f"{row}, against QEMU TCG", "ahead", f"{theirs / ours:.3g} times", ours / theirs
    for row in CALLS if "calls" in of else ():
        yield from ratio("calls", row, "trap_on", f"tinix, {report.ROWS[row]}, against `trap`, pv=on", within(1.1))
    for name in ("work", "gzip"):
        for row in TABLES[name][1] if name in of else ():
            yield from ratio(name, row, "hybrid", f"{TABLES[name][1][row]}, against `hybrid`", ahead(3))
            yield from ratio(name, row, "tcg", f"{TABLES[name][1][row]}, against QEMU TCG", ahead(1))
    if "prompt" in of:
        yield from ratio("prompt", "prompt", "trap_on", "tinix to its prompt, against `trap`, pv=on", within(1.3))


def reach_table(all_figures):
    yield "| what | reach | measured | |"
    yield "|---|---|---|---|"
    for what, reach, measured, missed in reaches(all_figures):
        yield f"| {what} | {reach} | {measured} | {f'**missed** by {missed:.2f}' if missed > 1 else 'reached'} |"


def circumstances(all_figures):
    passes = [one for each in all_figures.values() for one in each]
    loads = [one["load"] for one in passes]
    counts = ", ".join(f"{name} {len(each)}" for name, each in all_figures.items())
    text = f"Passes: {counts}. Load of the host before each: {min(loads):.2f} to {max(loads):.2f}; Linux {os.uname().release}."
    runs = [rows for one in passes for rows in one["found"].values() if "clock" in rows]
    rates = [rate for rows in runs if is_trusted(rows) for rate in rows["clock"]]
    if rates:
        text += f" The guests' clocks by the host's: {min(rates):.3f} to {max(rates):.3f}; {len(runs) - len(rates) // 2} of " \
                f"{len(runs)} runs, whose clock was off by 3 % or more, are left out."
    return text


# --------------------------------------------------------------------------------------------------------------- main


def arguments():
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(source, "build"))
    parser.add_argument("--tables", default=",".join(TABLES), type=lambda text: text.split(","))
    parser.add_argument("--passes", type=int, default=1, help="0 only prints what FILE has")
    parser.add_argument("--budget", type=int, default=100, help="milliseconds for each measure in each run")
    parser.add_argument("--only", default="", help="ways to run, by key: " + ",".join(way.key for way in WAYS))
    parser.add_argument("--into", help="where passes are kept")
    parser.add_argument("--page", help="whose tables are replaced")
    options = parser.parse_args()
    options.source, options.build = source, os.path.abspath(options.build)
    for name in options.tables:
        if name not in TABLES:
            parser.error(f"--tables: there is no '{name}': choose from {','.join(TABLES)}")
    if not os.access(os.path.join(options.build, "tests/bench/bench_user"), os.X_OK):
        parser.error(f"--build: {options.build} is no whole build: run 'ninja -C {options.build}', or name another")
    return options


def main():
    options = arguments()
    kept = {}
    if options.into and os.path.exists(options.into):
        with open(options.into) as file:
            kept = json.load(file)
    children.adopt_orphans()
    only = options.only.split(",") if options.only else [way.key for way in WAYS]
    ways = measure.present([way for way in WAYS if way.key in only], [])
    with tempfile.TemporaryDirectory(prefix="ring3-techniques.") as work_dir:
        tree = systems.Tree(options.build, options.source, work_dir)
        for _ in range(options.passes):
            for name in options.tables:
                load = measure.load()
                kept.setdefault(name, []).append({"load": load, "found": TABLES[name][0](options, ways, tree)})
    if options.into:
        with open(options.into, "w") as file:
            json.dump(kept, file, indent=1)
    tables = {name: list(table(Figures(kept[name]), TABLES[name][1])) for name in TABLES if name in kept}
    tables["techniques reach"] = [*reach_table(kept), "", circumstances(kept)]
    if not options.page:
        print("\n\n".join("\n".join(lines) for lines in tables.values()))
        return
    with open(options.page) as file:
        page = file.read()
    for name, lines in tables.items():
        page = report.replace(page, name, lines)
    with open(options.page, "w") as file:
        file.write(page)


main()
