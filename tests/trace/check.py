"""Reads back what `ring3 run` wrote, and compares it with the statistics of the same run.

  check.py jsonl TRACE STATS
  check.py pftrace TRACE STATS     PYTHONPATH has perfetto_pb2, made by protoc from perfetto.proto
  check.py stats SCHEMA STATS
"""
import json
import sys
from collections import Counter

KINDS = {"exit", "hypercall", "fault", "irq", "shadow", "device", "switch", "timer"}
# Counted as exits, but made without one, in the interpreter.
NOT_COUNTED = {"interpreted", "emulated", "dead", "other"}


def need(condition, *what):
    if not condition:
        print("FAIL:", *what)
        sys.exit(1)


def exits_of(stats):
    total = Counter()
    for vcpu in stats["vcpus"]:
        total.update(vcpu["exits"])
    return {kind: n for kind, n in total.items() if n}


def compare_exits(seen, stats):
    """Every exit is an event; what passed without the monitor comes as sums."""
    seen = {reason: n for reason, n in seen.items() if reason not in NOT_COUNTED}
    need(seen == exits_of(stats), "exits traced", seen, "counted", exits_of(stats))


# ---------------------------------------------------------------------------------------------------- JSON Lines


def check_event(event):
    need(event["kind"] in KINDS, "kind", event)
    need(event["cpl"] in (0, 3) and event["vcpu"] == 0, "place", event)
    need(int(event["root"], 16) % 4096 == 0 and int(event["rip"], 16) >= 0, "addresses", event)
    need(isinstance(event["args"], dict) and event["reason"], "reason", event)
    need(event.get("cost_ns", 0) >= 0, "cost", event)
    need(event["kind"] not in ("hypercall", "shadow") or "result" in event or event["reason"] == "fill", "result", event)


def check_order(events):
    """By time; what was recorded once it was over (halts, effects) may begin before its predecessor."""
    last = 0
    for event in events:
        end = event["ns"] + event.get("cost_ns", 0) if event["kind"] != "exit" else event["ns"]
        need(end >= last - 1000, "goes back in time", event, last)
        last = max(last, event["ns"])


def count_exits(events):
    seen = Counter()
    for event in events:
        if event["kind"] == "exit":
            seen[event["reason"]] += event["args"].get("count", 1)
    return seen


def check_jsonl(lines, stats):
    records = [json.loads(line) for line in lines]
    header, summary = records[0], records[-1]
    events = [r for r in records if r["type"] == "event"]
    need(header["type"] == "header" and header["schema"] == "ring3-trace" and header["version"] == 1, header)
    need(header["engine"] == stats["engine"] and header["transport"] == stats["transport"], "engine", header)
    need(header["image"] == stats["image"] and set(header["kinds"]) == KINDS and header["vcpus"] == 1, header)
    need(summary["type"] == "summary" and summary["exit_status"] == stats["exit"]["status"], "summary", summary)
    need(summary["events"] == len(events) and events, "events", summary["events"], len(events))
    need({r["type"] for r in records[1:-1]} <= {"event", "counters"}, "types")
    for event in events:
        check_event(event)
    check_order(events)
    compare_exits(count_exits(events), stats)
    need({k: n for k, n in summary["exits"].items() if n} == exits_of(stats), "summary's exits", summary["exits"])
    calls = Counter(e["reason"] for e in events if e["kind"] == "hypercall" and e["reason"] != "unknown")
    need(calls == Counter(summary["hypercalls"]) == Counter(stats["hypercalls"]), "hypercalls", calls)
    need(summary["sensitive"] == stats["sensitive"], "sensitive instructions")
    need(summary["guest_tables"], "guest's page tables")
    need(stats["engine"] != "trap" or summary["shadow_tables"], "shadow page tables")
    injected = [e for e in events if e["kind"] == "fault" or e["reason"] == "delivered"]
    need(len(injected) >= sum(v["injected"] for v in stats["vcpus"]), "injected", len(injected))


# ------------------------------------------------------------------------------------------------------ Perfetto


def slices(trace, kind):
    """(track, begin, end, event) of all slices; they nest on their track, and all end."""
    stacks, found = {}, []
    packets = [p for p in trace.packet if p.HasField("track_event")]
    for packet in sorted(packets, key=lambda p: p.timestamp):  # stable: ties in the order of the file
        event = packet.track_event
        stack = stacks.setdefault(event.track_uuid, [])
        if event.type == kind.TYPE_SLICE_BEGIN:
            stack.append((packet.timestamp, event))
        elif event.type == kind.TYPE_SLICE_END:
            need(stack, "an end without beginning at", packet.timestamp)
            begin, first = stack.pop()
            found.append((event.track_uuid, begin, packet.timestamp, first))
    need(not any(stacks.values()), "slices without end", stacks)
    return found


def check_pftrace(data, stats):
    import perfetto_pb2 as pb

    trace = pb.Trace()
    trace.ParseFromString(data)
    before = trace.ByteSize()
    trace.DiscardUnknownFields()
    need(trace.ByteSize() == before, "fields that the schema does not have")
    kind, names, tracks, counters = pb.TrackEvent, {}, set(), {}
    need(trace.packet[0].clock_snapshot.clocks and trace.packet[0].sequence_flags == 1, "first packet")
    instants = []
    for packet in trace.packet:
        need(packet.trusted_packet_sequence_id == 1 and packet.HasField("timestamp"), "packet", packet)
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            tracks.add(track.uuid)
            names[track.uuid] = track.name or track.process.process_name
            need(not track.HasField("parent_uuid") or track.parent_uuid in tracks, "parent", track)
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        need(event.track_uuid in tracks, "a track that was not described", event)
        need(packet.timestamp <= stats["wall_ns"] + 10**6, "time", packet.timestamp, stats["wall_ns"])
        if event.type == kind.TYPE_COUNTER:
            need(event.counter_value >= 0, "counter", event)
            counters[names[event.track_uuid]] = event.counter_value
        elif event.type == kind.TYPE_INSTANT:
            instants.append(event)
        for annotation in event.debug_annotations:
            need(annotation.WhichOneof("value") and annotation.name, "annotation", event)
    check_pftrace_meaning(slices(trace, kind), instants, names, counters, stats)


def check_pftrace_meaning(found, instants, names, counters, stats):
    need(names[1] == stats["image"] and "vCPU 0" in names.values(), "tracks", names)
    seen = Counter()
    for event in instants + [s[3] for s in found]:
        if list(event.categories) == ["exit"]:
            seen[event.name] += next((a.uint_value for a in event.debug_annotations if a.name == "count"), 1)
    compare_exits(seen, stats)
    spaces = {names[s[0]] for s in found if s[3].name == "guest code"}
    need(spaces and all("root 0x" in name for name in spaces), "address spaces", spaces)
    need(any("kernel mode" in name for name in spaces), "kernel's address space", spaces)
    ran = sum(end - begin for track, begin, end, event in found if event.name == "guest code")
    need(0 < ran <= stats["wall_ns"], "time in the guest", ran)
    for kind, n in exits_of(stats).items():
        need(counters["exits: " + kind] == n, "counter of", kind)
    need({e.categories[0] for e in instants} <= KINDS, "categories")
    need(all(e.type != 3 or e.categories[0] not in ("hypercall", "device") for e in instants), "hypercalls are slices")


# ---------------------------------------------------------------------------------------------------- statistics


def check_stats(schema, stats):
    import jsonschema

    jsonschema.Draft7Validator.check_schema(schema)
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(stats))
    need(not errors, *errors[:3])


def main():
    what, first, second = sys.argv[1:]
    with open(second, encoding="ascii") as file:
        stats = json.load(file)
    if what == "pftrace":
        with open(first, "rb") as file:
            check_pftrace(file.read(), stats)
    elif what == "jsonl":
        with open(first, encoding="ascii") as file:
            check_jsonl(file.readlines(), stats)
    else:
        with open(first, encoding="ascii") as file:
            check_stats(json.load(file), stats)


main()
