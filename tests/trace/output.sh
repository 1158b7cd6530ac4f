#!/bin/sh
# Traces that cannot be written, and what signals ask for: one clear line at most, and the guest runs on.
#   output.sh RING3 HELLO EXPECTED NEIGHBOUR
set -u
ring3=$1 hello=$2 hello_expected=$3 neighbour=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*"
	cat "$work/err" 2>/dev/null
	exit 1
}
hello() {
	"$ring3" run --timeout 60 "$@" "$hello" </dev/null >"$work/out" 2>"$work/err"
}
told() {
	[ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "^ring3: .*$1" "$work/err" || fail "expected one line: $1"
}
unharmed() {
	diff "$hello_expected" "$work/out" >/dev/null || fail "the guest was disturbed: $*"
}

hello --trace-file /dev/full
[ $? -eq 125 ] || fail "full: status"
unharmed full
told "full: No space left on device: the trace ends here, the guest runs on"
for form in text jsonl pftrace; do
	hello --trace-file "$work/none/x.$form"
	[ $? -eq 125 ] || fail "no directory: status"
	told "none/x.$form: cannot write: No such file or directory"
done

# Text on stderr whose reader has gone, or which is closed.
"$ring3" run --timeout 60 --trace all "$hello" 2>&1 >"$work/out" </dev/null | head -n 1 >/dev/null
unharmed "closed pipe"
"$ring3" run --timeout 60 --trace all "$hello" >"$work/out" </dev/null 2>&- || fail "closed stderr: status $?"
unharmed "closed stderr"

# Choosing.
hello --trace exit,reason=hypercall && ! grep -v ' exit hypercall(' "$work/err" || fail "reason="
[ -s "$work/err" ] || fail "no exits"
hello --trace all,symbol=console_*,cpl=0 && ! grep -v ' console_[a-z]*+0x' "$work/err" || fail "symbol="
hello --trace timer,symbol=nowhere && told "no event was like that" || fail "nothing"
unharmed choosing

# Signals: a summary, and text on and off.
wait_for() {
	until grep -q "$1" "$work/$2"; do
		kill -0 "$pid" 2>/dev/null || fail "ended before $1"
		sleep 0.01
	done
}
"$ring3" run --timeout 60 "$neighbour" >"$work/out" 2>"$work/err" </dev/null &
pid=$!
wait_for ready out
kill -USR1 "$pid"
wait_for "cells [0-9]" err
grep -q "^ring3: .* up [0-9.]* s, engine trap, 1 vCPU" "$work/err" || fail "no summary"
grep -q "^ring3: exits [0-9]* (.*hypercall [0-9]* (" "$work/err" || fail "no exits in the summary"
kill -USR2 "$pid"
wait_for " v0 [ku] 0x.* exit " err
kill -USR2 "$pid"
kill -TERM "$pid"
wait "$pid"
[ $? -eq 143 ] || fail "signals: status"
