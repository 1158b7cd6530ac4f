# Every member of the structs that hold a machine's state stands in its list, as the program's debug information has it:
#   gdb -nx -batch -x state_members.py PROGRAM
import gdb

seen = set()
missing = []


def members(of, start):
    """Name, first byte and size of each member, those of unnamed structs one by one."""
    for field in of.fields():
        first, kind = start + field.bitpos // 8, field.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_STRUCT and not kind.tag:
            yield from members(kind, first)
        else:
            yield field.name, first, kind.sizeof


def check(listed):
    name = listed["type"].string()
    if name in seen:
        return
    seen.add(name)
    covered = set()
    for n in range(int(listed["fields"])):
        field = listed["field"][n]
        first, size = int(field["offset"]), int(field["size"]) * int(field["count"])
        covered.update(range(first, first + size))
        if int(field["part"]):
            check(field["part"].dereference())
    for member, first, size in members(gdb.lookup_type(name), 0):
        if not covered.issuperset(range(first, first + size)):
            missing.append(f"{name} {member}")


for root in ("machine_state", "vcpu_state", "hc_state"):
    check(gdb.lookup_global_symbol(root).value())
for member in missing:
    print(f"{member}: in no list of state")
print(f"{len(seen)} structs")
gdb.execute(f"quit {1 if missing or len(seen) < 20 else 0}")
