#!/usr/bin/python3
"""Runs `ring3 classify` in one format and holds it to what no x86-64 host can have otherwise:  check.py FORMAT COMMAND..."""
import csv
import html.parser
import json
import subprocess
import sys

form, command = sys.argv[1], sys.argv[2:]
options = [] if form == "text" else ["--" + form]
output = subprocess.run(command + options, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
assert output.returncode == 0 and not output.stderr, output.stderr

PRIVILEGED = ("CLI", "STI", "HLT", "LGDT", "LIDT", "MOV CR3, r", "MOV r, CR0", "WRMSR", "RDMSR", "SWAPGS", "IRET", "LTR", "CLTS")
SILENT = ("MOV r, CS", "PUSHF", "POPF", "LAR", "VERR")


def check_json(document):
    assert (document["schema"], document["version"]) == ("ring3-classify", 2)
    rows = {row["name"]: row for row in document["instructions"]}
    assert len(rows) == len(document["instructions"]) > 60
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
    assert rows["SWAPGS"]["ring3"]["outcome"] == "#GP(0)"
    assert not has_32 or rows["SWAPGS"]["ring3_32"]["outcome"] == "#UD"
    assert int(rows["MOV r, CS"]["ring3"]["shows"], 16) & 3 == 3
    assert int(rows["MOV r, CS"]["ring0"]["shows"], 16) & 3 == 0
    assert int(rows["POPF"]["ring3"]["shows"], 16) & 0x200
    assert not int(rows["POPF"]["ring0"]["shows"], 16) & 0x200
    assert rows["HLT"]["ring0"]["outcome"] == "silent", rows["HLT"]
    assert set(rows["CLI"]["engines"]) == {"trap", "translate", "hybrid", "interpret"}
    assert all(row["engines"]["interpret"]["exact"] for row in rows.values())
    assert document["silent"] == sum(not row["ring3"]["traps"] for row in rows.values())
    assert document["silent_32"] == sum(not row["ring3_32"]["traps"] for row in rows.values())
    assert document["notes"]


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
    assert {row["instruction"]: row["traps"] for row in rows}["CLI"] == "yes"
elif form == "html":
    page = Page()
    page.feed(text)
    assert not page.open and page.rows > 60, page.open
else:
    assert "Popek and Goldberg's condition does not hold" in text and "On this host:" in text
