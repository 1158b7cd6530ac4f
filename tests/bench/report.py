"""From the passes of measure.py to docs/performance.md: medians, what was to be reached, tables, plot."""
import json
import os
import shutil
import statistics
import subprocess
import sys

ROWS = {
    "syscall": "null system call",
    "touch": "touch a fresh page",
    "fork": "fork, exit, wait",
    "exec": "fork, exec, wait",
    "pipe": "pipe, there and back",
    "switch_2": "token to the next of 2 processes, one CPU",
    "switch_16": "token to the next of 16 processes, one CPU",
    "signal": "signal, handled",
    "mmap": "map 64 KiB, touch a page, unmap",
    "compute": "one turn of a compute loop",
    "memory": "random read in 64 MiB",
    "file": "read 64 KiB of a file in memory",
    "crowd": "fork, exit, wait, with 1,000 other processes alive",
    "prompt": "start to shell prompt",
}
LOOPS = {"i": ("integer loop", 15 * 8000000), "m": ("memory loop", 10 * 8000000),
         "f": ("floating-point loop", 14 * 1000000)}  # instructions, as loops.h has it
# Bounded by the processor alone, so whatever disturbs only adds: judged by the best tenths.
BY_BEST = ("compute", "memory")
# Linux by itself, its peer last.
LINUX = ["native", "linux_translate", "linux_hybrid", "qemu"]
PLOTTED = ["tinix", "tinix1", "tinix_off", "uml", "gvisor", "qemu"]


def duration(ns):
    for unit, size in [("ns", 1), ("us", 1e3), ("ms", 1e6)]:
        if ns < 1000 * size:
            return f"{ns / size:.3g} {unit}" if ns < 100 * size else f"{ns / size:.0f} {unit}"
    return f"{ns / 1e9:.3g} s"


# ------------------------------------------------------------------------------------------------------------- figures


def cell(medians, tenths, native):
    """One system's figures of one row; `native` is the same pass by pass, None where that pass has none."""
    known = [i for i, median in enumerate(medians) if median is not None]
    if not known:
        return None
    found = {"median_ns": statistics.median(medians[i] for i in known), "best_ns": min(tenths[i] for i in known),
             "passes_ns": [medians[i] for i in known]}
    ratios = [medians[i] / native["medians"][i] for i in known if native["medians"][i]]
    if ratios:
        found["ratio"] = statistics.median(ratios)
        found["best_ratio"] = found["best_ns"] / min(t for t in native["tenths"] if t)
    return found


def columns(passes, key, row):
    if row == "prompt":
        medians = tenths = [one["prompts"].get(key) for one in passes]
    else:
        runs = [one["programs"].get(key) for one in passes]
        medians = [run["rows"][row][0] if run and row in run["rows"] else None for run in runs]
        tenths = [run["rows"][row][1] if run and row in run["rows"] else None for run in runs]
    return {"medians": medians, "tenths": tenths}


def side_by_side(passes, keys):
    table = {}
    for row in ROWS:
        native = columns(passes, "native", row)
        cells = {key: cell(**columns(passes, key, row), native=native) for key in keys}
        table[row] = {key: found for key, found in cells.items() if found}
    return table


def clocks(passes, keys):
    """How each system's clock goes by the host's: 1 is right."""
    found = {}
    for key in keys:
        runs = [one["programs"][key] for one in passes if one["programs"].get(key)]
        rates = [run["clock"] for run in runs if run["clock"]]
        if rates:
            found[key] = statistics.median(rates)
    return found


def loops(passes, keys):
    table = {}
    for letter, (_, instructions) in LOOPS.items():
        for key in keys:
            times = [t for one in passes if one["loops"].get(key) for t in one["loops"][key]["times"][letter]]
            if times:
                ns = statistics.median(times)
                table.setdefault(letter, {})[key] = {"median_ns": ns, "best_ns": min(times),
                                                     "mips": instructions / ns * 1e3}
    return table


# ------------------------------------------------------------------------------------------------------- what to reach


def reaches(document):
    """(what, what was to be reached, what came out, factor by which it was missed or None) of each reach."""
    table, loop = document["side_by_side"], document["loops"]

    def at_most(row, key, limit, what):
        found = table.get(row, {}).get(key)
        if found:
            yield what, f"at most {duration(limit)}", duration(found["median_ns"]), found["median_ns"] / limit

    def ratio(row, key, limit, what):
        found = table.get(row, {}).get(key)
        if found and "best_ratio" in found:
            yield (what, f"at most {limit:g} times native", f"{found['best_ratio']:.3f} "
                   f"(medians: {found['ratio']:.3f})", found["best_ratio"] / limit)

    def ahead(faster, slower, factor, what):
        if faster and slower:
            got = slower["median_ns"] / faster["median_ns"]
            yield what, f"at least {factor} times ahead", f"{got:.1f} times", factor / got

    yield from at_most("syscall", "tinix1", 6.5e3, "null system call, one CPU")
    yield from at_most("syscall", "tinix2", 3.5e3, "null system call, two CPUs")
    calls = table.get("syscall", {})

    def best(key):
        """Of a peer left free, and of one kept on one CPU."""
        return min((calls[k] for k in (key, key + "1") if k in calls), key=lambda found: found["median_ns"], default=None)

    for key, title in (("uml", "User Mode Linux"), ("gvisor", "gVisor")):
        yield from ahead(best("tinix"), best(key), 7, f"null system call, against {title}, each in its best placement")
    yield from at_most("touch", "tinix", 10e3, "touch a fresh page")
    yield from at_most("fork", "tinix", 1.4e6, "fork, exit, wait")
    yield from at_most("pipe", "tinix", 40e3, "pipe, there and back")
    yield from ratio("compute", "tinix", 1.01, "compute")
    yield from ratio("memory", "tinix", 1.01, "random reads")
    yield from at_most("prompt", "tinix", 20e6, "start to shell prompt")
    yield from ratio("compute", "hybrid", 1.05, "compute, engine `hybrid`")
    yield from ratio("memory", "hybrid", 1.05, "random reads, engine `hybrid`")
    for letter, (title, _) in LOOPS.items():
        times = loop.get(letter, {})
        for factor in (1, 2):
            yield from ahead(times.get("interpret"), times.get("bochs"), factor,
                             f"{title}, engine `interpret` against Bochs")


# -------------------------------------------------------------------------------------------------------------- tables


def reach_table(document):
    yield "| what | reach | measured | |"
    yield "|---|---|---|---|"
    for what, reach, measured, missed in reaches(document):
        yield f"| {what} | {reach} | {measured} | {f'**missed** by {missed:.2f}' if missed > 1 else 'reached'} |"


def side_cell(document, row, key, peer):
    """Median, best tenth, and the ratios of the medians to native and to the peer."""
    rows = document["side_by_side"][row]
    found = rows.get(key)
    text = f"{duration(found['median_ns'])} ({duration(found['best_ns'])})" if found else "-"
    if found and "ratio" in found and key != "native" and row != "prompt":
        text += f", {found['ratio']:.3g}x"
    if found and peer in rows and key not in ("native", peer):
        text += f", {found['median_ns'] / rows[peer]['median_ns']:.2f} of TCG"
    return text


def side_table(document, keys, peer=None):
    yield "| what | " + " | ".join(document["titles"][key] for key in keys) + " |"
    yield "|---|" + "---|" * len(keys)
    for row, title in ROWS.items():
        if any(key in document["side_by_side"][row] for key in keys):
            yield f"| {title} | " + " | ".join(side_cell(document, row, key, peer) for key in keys) + " |"
    yield ""
    rates = ", ".join(f"{document['titles'][key]} {rate:.3f}" for key, rate in document["clocks"].items() if key in keys)
    yield f"Passes: {document['passes']}. Load of the host: {document['load_before']:.2f} before, " \
          f"{document['load_after']:.2f} after; Linux {document['kernel']}. Each system's clock by the host's: {rates}."
    if document["load_before"] > os.cpu_count() / 2:
        yield ""
        yield "**The host was busy with other programs**, which lengthens all times, and what switches most the most."
    if document["skipped"]:
        yield ""
        yield "Left out: " + "; ".join(document["skipped"]) + "."


def loops_table(document):
    names = document["processors"]
    yield "| loop | " + " | ".join(names.values()) + " |"
    yield "|---|" + "---|" * len(names)
    for letter, (title, _) in LOOPS.items():
        times = document["loops"].get(letter, {})
        cells = []
        for key in names:
            found = times.get(key)
            text = f"{found['mips']:.0f} MIPS" if found else "-"
            if found and "bochs" in times and key != "bochs":
                text += f", {times['bochs']['median_ns'] / found['median_ns']:.2f}x Bochs"
            cells.append(text)
        yield f"| {title} | " + " | ".join(cells) + " |"
    hybrid = [(row, document["side_by_side"][row].get("hybrid")) for row in BY_BEST]
    if all(found for _, found in hybrid):
        yield ""
        yield "| user mode in tinix, engine `hybrid` | median | best tenth | medians, of native | best tenths, of native |"
        yield "|---|---|---|---|---|"
        for row, found in hybrid:
            yield f"| {ROWS[row]} | {duration(found['median_ns'])} | {duration(found['best_ns'])} | " \
                  f"{found['ratio']:.3f} | {found['best_ratio']:.3f} |"


def replace(page, name, lines):
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in page or end not in page:
        raise SystemExit(f"measure.py: the page has no place for '{name}': {begin} and {end}")
    before, rest = page.split(begin)
    return before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1]


# ---------------------------------------------------------------------------------------------------------------- plot


def plot(document, path):
    if not shutil.which("gnuplot"):
        print("measure.py: no plot: there is no gnuplot (package gnuplot-nox)", file=sys.stderr)
        return
    keys = [key for key in PLOTTED if key in document["titles"]]
    rows = [row for row in ROWS if row != "prompt" and len(document["side_by_side"][row]) > 1]
    if not keys or not rows:
        return
    data = []
    for row in rows:
        found = document["side_by_side"][row]
        data.append(" ".join([f'"{row}"'] + [f"{found[key]['ratio']:.4g}" if "ratio" in found.get(key, {}) else "NaN" for key in keys]))
    bars = ", ".join(f"$rows using {i + 2}:xtic(1) title '{document['titles'][key]}'" for i, key in enumerate(keys))
    script = f"""set terminal svg noenhanced size 1100,460 font 'sans-serif,12' background rgb 'white'
set output '{path}'
set title 'Time taken, as a multiple of native (shorter is better)'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85 noborder
set logscale y
set yrange [0.2:*]
set format y '%gx'
set grid ytics
set key outside right
set xtics rotate by -30
$rows << EOD
""" + "\n".join(data) + f"\nEOD\nplot {bars}, 1 with lines linecolor 'black' notitle\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def write(document, docs, page_path):
    if "tinix" in document["titles"]:
        with open(os.path.join(docs, "performance.json"), "w") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
        plot(document, os.path.join(docs, "performance.svg"))
    with open(page_path) as file:
        page = file.read()
    # What a run does not have stays as it is.
    if "tinix" in document["titles"]:
        keys = [key for key in document["titles"] if key != "hybrid" and not key.startswith("linux_")]
        page = replace(page, "reach", reach_table(document))
        page = replace(page, "side by side", side_table(document, keys))
    if all(key in document["titles"] for key in LINUX):
        page = replace(page, "linux", side_table(document, LINUX, LINUX[-1]))
    if document["processors"]:
        page = replace(page, "engines", loops_table(document))
    if document["idle"]:
        page = replace(page, "idle", ["```", document["idle"], "```"])
    with open(page_path, "w") as file:
        file.write(page)
