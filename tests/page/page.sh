#!/bin/bash
# `ring3 report`: pages from real traces, from garbage and from hostile ones; what it refuses:
#   page.sh RING3 TICKS_GUEST PAGING_GUEST
set -u
ring3=$1 ticks=$2 paging=$3
. "$(dirname "$0")/common.sh"

try() {
	timeout -k 5 60 "$@" >"$work/log" 2>&1 </dev/null
}

make_trace "$work/ticks.jsonl" -a pv=off "$ticks"
try "$ring3" report "$work/ticks.jsonl" -o "$work/ticks.html" || fail "no page"
[ -s "$work/log" ] && fail "a good trace makes it complain"

# The digest agrees with the trace.
number() { # KEY: of a count at the top of the data
	data "$work/ticks.html" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2
}
[ "$(number bad)" = 0 ] || fail "lines of a good trace are not understood"
[ "$(number lines)" = "$(wc -l <"$work/ticks.jsonl")" ] || fail "not all lines are counted"
[ "$(number events)" = "$(grep -c '^{"type":"event"' "$work/ticks.jsonl")" ] || fail "not all events are counted"
for reason in privileged clustered shadow_fill halt; do
	want=$(grep -c "\"kind\":\"exit\",\"reason\":\"$reason\"" "$work/ticks.jsonl")
	[ $reason$want != halt0 ] || continue # on a busy host ticks waits for nothing
	data "$work/ticks.html" | grep -q "{\"name\":\"$reason\",\"exits\":$want," || fail "not $want exits of reason $reason"
done
data "$work/ticks.html" | grep -q '"sensitive":{"of":[0-9]*,"entries":\[{"instruction":' || fail "no sensitive instructions"
data "$work/ticks.html" | grep -q '"waits":{"count":[1-9]' || fail "no interrupt latency"
grep -q "default-src 'none'" "$work/ticks.html" || fail "the page may load what it likes"
make_trace "$work/paging.jsonl" "$paging"
try "$ring3" report - -o "$work/paging.html" && fail "an empty standard input is taken"
"$ring3" report - -o "$work/paging.html" <"$work/paging.jsonl" || fail "standard input is not read"
data "$work/paging.html" | grep -q '"hypercalls":{"of":[0-9]*,"entries":{[^}]*"set_root":[1-9]' || fail "no hypercalls"
data "$work/paging.html" | grep -q '"shadow_tables":{"of":[1-9]' || fail "no shadow page tables"

# Cut off, and with garbage in it.
hostile_trace "$work/hostile.jsonl" "$work/ticks.jsonl"
try "$ring3" report "$work/hostile.jsonl" -o "$work/hostile.html" || fail "garbage keeps the page from being made"
grep -q "^ring3: report: 13 of [0-9]* lines of .* could not be understood" "$work/log" || fail "garbage is not counted"
data "$work/hostile.html" | grep -q '"bad":13,' || fail "the page does not say that lines are missing"
data "$work/hostile.html" | grep -q '[<>&]' && fail "markup in the data"
data "$work/hostile.html" | grep -q '\\u003c/script\\u003e' || fail "what would end the script is not there, escaped"
[ "$(grep -c '</script>' "$work/hostile.html")" = "$(grep -c '</script>' "$work/ticks.html")" ] || fail "a script is ended early"
[ "$(wc -c <"$work/hostile.html")" -lt 2000000 ] || fail "the page grows without bound"

# refused TEXT ARGUMENT...
refused() {
	local text=$1
	shift
	try "$ring3" report "$@"
	[ $? -eq 125 ] || fail "not refused: $*"
	grep -q "^ring3: report: .*$text" "$work/log" || fail "no word of '$text': $*"
}
refused "name the trace"
refused "one argument too many" a b
refused "No such file" "$work/none.jsonl" -o "$work/x.html"
refused "is no trace" "$ring3" -o "$work/x.html"
refused "is no trace" /dev/null -o "$work/x.html"
refused "cannot read" "$work" -o "$work/x.html"
echo '{"type":"header","schema":"ring3-trace","version":2}' >"$work/later.jsonl"
refused "version 2, this ring3 reads version 1" "$work/later.jsonl" -o "$work/x.html"
[ -e "$work/x.html" ] && fail "a page is left of what was refused"
refused "cannot write" "$work/ticks.jsonl" -o "$work/no/such/x.html"
refused "cannot write" "$work/ticks.jsonl" -o /dev/full
exit 0
