#!/usr/bin/env python3
"""Makes the tables of docs/performance.md from the document of `ring3 bench --json FILE`:

table.py FILE         prints them
table.py FILE PAGE    replaces those in PAGE, between its two marks
"""
import json
import sys


BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
WAYS = [("signal", 1), ("signal", 2), ("ptrace", 1)]


def time(ns):
    if ns < 100:
        return f"{ns:.2f} ns"
    if ns < 1000:
        return f"{ns:.0f} ns"
    return f"{ns / 1e3:.2f} us" if ns < 1e6 else f"{ns / 1e6:.2f} ms"


def reach(cells):
    texts = []
    for cell in cells:
        if "reach" in cell:
            (kind, value), = cell["reach"].items()
            texts.append(f"{value:g}x" if kind == "ratio" else time(value))
    return " / ".join(dict.fromkeys(texts)) or "-"


def entry(cell):
    if not cell:
        return "-"
    mark = " **missed**" if cell.get("reached") is False else ""
    return f"{time(cell['median_ns'])} ({time(cell['p10_ns'])}), {cell['ratio']:.2f}x{mark}"


def tables(document):
    yield "| native | median | best tenth |"
    yield "|---|---|---|"
    for native in document["native"]:
        yield f"| {native['title']} | {time(native['median_ns'])} | {time(native['p10_ns'])} |"
    yield ""
    titles = [f"{transport}, {cpus} CPU{'s'[:cpus - 1]}" for transport, cpus in WAYS]
    yield f"| row | what | reach | {' | '.join(titles)} |"
    yield "|---|---|---|" + "---|" * len(WAYS)
    for row in document["rows"]:
        cells = {(cell["transport"], cell["cpus"]): cell for cell in row["results"]}
        columns = " | ".join(entry(cells.get(way)) for way in WAYS)
        yield f"| `{row['name']}` | {row['title']} | {reach(row['results'])} | {columns} |"
    host = document["host"]
    yield ""
    yield f"Load of the host: {host['load_before']:.2f} before, {host['load_after']:.2f} after; Linux {host['kernel']}."


text = "\n".join(tables(json.load(open(sys.argv[1]))))
if len(sys.argv) < 3:
    print(text)
else:
    page = open(sys.argv[2]).read()
    before, rest = page.split(BEGIN)
    with open(sys.argv[2], "w") as out:
        out.write(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])
