#!/usr/bin/python3
"""Runs `ring3 classify` in one format and holds it to what no x86-64 host can have otherwise:  check.py FORMAT COMMAND..."""
import csv
import html.parser
import json
import subprocess
import sys

form, command = sys.argv[1], sys.argv[2:]
options = [] if form == "text" else ["--" + form]
output = subprocess.run(command + options, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
assert output.returncode == 0 and not output.stderr, output.stderr

PRIVILEGED = ("CLI", "STI", "HLT", "LGDT", "LIDT", "MOV CR3, r", "MOV r, CR0", "WRMSR", "RDMSR", "SWAPGS", "IRET", "LTR", "CLTS")
TRANSLATE = {"PUSHF": "translated", "POPF": "translated", "CLI": "translated", "HLT": "interpreted"}
SILENT = ("MOV r, CS", "PUSHF", "POPF", "LAR", "VERR")


def check_json(document):
    assert (document["schema"], document["version"]) == ("ring3-classify", 3)
    rows = {row["name"]: row for row in document["attempts"]}
    assert len(rows) == len(document["attempts"]) > 60
    # A host without a segment for 32-bit programs loses every one.
    has_32 = any(row["ring3_32"]["outcome"] != "lost" for row in rows.values())
    for name in PRIVILEGED:
        assert rows[name]["ring3"]["traps"] and (rows[name]["ring3_32"]["traps"] or not has_32), rows[name]
        # Theorem 1 where it holds: what traps, every engine has as ring 0 has it.
        for engine, answer in rows[name]["engines"].items():
            assert answer["exact"], (name, engine, answer)
    for name in SILENT:
        for way in ("ring3", "ring3_32") if has_32 else ("ring3",):
            assert rows[name][way]["outcome"] == "silent", rows[name]
        # And where it does not, direct execution is wrong, and interpretation is right.
        assert not rows[name]["engines"]["trap"]["exact"], rows[name]
        assert rows[name]["engines"]["hybrid"]["exact"], rows[name]
        assert rows[name]["engines"]["translate"]["exact"], rows[name]
    for name, answer in TRANSLATE.items():
        assert rows[name]["engines"]["translate"]["answer"] == answer, rows[name]
    assert rows["SWAPGS"]["ring3"]["outcome"] == "#GP(0)"
    assert not has_32 or rows["SWAPGS"]["ring3_32"]["outcome"] == "#UD"
    assert int(rows["MOV r, CS"]["ring3"]["shows"], 16) & 3 == 3
    assert int(rows["MOV r, CS"]["ring0"]["shows"], 16) & 3 == 0
    assert int(rows["POPF"]["ring3"]["shows"], 16) & 0x200
    assert not int(rows["POPF"]["ring0"]["shows"], 16) & 0x200
    assert rows["HLT"]["ring0"]["outcome"] == "silent", rows["HLT"]
    assert set(rows["CLI"]["engines"]) == {"trap", "translate", "hybrid", "interpret"}
    assert all(row["engines"]["interpret"]["exact"] for row in rows.values())
    check_kinds(rows)
    check_counts(document, rows, has_32)
    assert document["notes"]


def check_kinds(rows):
    """Control-sensitive is what changes; what only shows is behaviour-sensitive (docs/lessons/README.md)."""
    kinds = {name: row["kind"] for name, row in rows.items()}
    for name in ("CLI", "MOV CR3, r", "WRMSR", "LGDT", "OUT", "HLT"):
        assert kinds[name] == "control", (name, kinds[name])
    for name in ("SMSW", "PUSHF", "MOV r, CR0", "RDTSC", "RDMSR", "SGDT", "STR", "CPUID"):
        assert kinds[name] == "behaviour/state", (name, kinds[name])
    for name in ("POPF", "LAR", "MOV r, CS", "IRET, IF clear"):
        assert kinds[name] == "behaviour/mode", (name, kinds[name])


def check_counts(document, rows, has_32):
    """Instructions are counted, not attempts: one that passes with any operand is not privileged."""
    for way, suffix in (("ring3", ""), ("ring3_32", "_32")):
        if suffix and not has_32:
            assert document["there_32"] == document["silent_32"] == 0
            continue
        instructions = {}
        for row in rows.values():
            instructions.setdefault(row["instruction"], []).append(row[way])
        there = [a for a in instructions.values() if any(attempt["there"] for attempt in a)]
        silent = [a for a in there if any(not attempt["traps"] for attempt in a)]
        assert document["there" + suffix] == len(there), way
        assert document["silent" + suffix] == len(silent), way
        assert len(instructions) < len(rows) and len(there) <= len(instructions)
    # IRET traps on its way to ring 0, and passes where POPF does.
    assert rows["IRET"]["ring3"]["traps"] and not rows["IRET, IF clear"]["ring3"]["traps"]
    assert int(rows["IRET, IF clear"]["ring3"]["shows"], 16) & 0x200
    assert not int(rows["IRET, IF clear"]["ring0"]["shows"], 16) & 0x200
    for name in ("CALL far, user", "JMP far, user", "MOV DS, user", "POP GS, user"):
        assert not rows[name]["ring3"]["traps"], rows[name]
    # What neither ring has is no instruction of this processor; what ring 0 has is there.
    for row in rows.values():
        both = row["ring3"]["outcome"] == row["ring0"]["outcome"] == "#UD"
        assert row["ring3"]["there"] == (not both), row
    assert rows["CLI"]["ring3"]["there"] and not (has_32 and rows["SWAPGS"]["ring3_32"]["there"])


class Page(html.parser.HTMLParser):
    """Counts rows, and that nothing is fetched from anywhere."""

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], 0

    def handle_starttag(self, tag, attrs):
        assert not any(name in ("src", "href") for name, _ in attrs), (tag, attrs)
        self.rows += tag == "tr"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


text = output.stdout
if form == "json":
    check_json(json.loads(text))
elif form == "csv":
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) > 60 and all(None not in row and None not in row.values() for row in rows)
    assert {row["attempt"]: row["traps"] for row in rows}["CLI"] == "yes"
elif form == "html":
    page = Page()
    page.feed(text)
    assert not page.open and page.rows > 60, page.open
else:
    assert "Popek and Goldberg's condition does not hold" in text and "On this host:" in text
    tables = text[:text.index("Popek")].rsplit("\n", 2)[0]
    assert max(map(len, tables.splitlines())) <= 120, "a table is wider than a window"
