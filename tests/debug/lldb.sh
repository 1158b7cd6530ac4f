#!/bin/sh
# The basics with lldb: connect, breakpoint, registers, memory, step, to the end.  lldb.sh RING3 KERNEL [options...]
# 77: there is no lldb.
set -u
. "$(dirname "$0")/order.sh"
ring3=$1 kernel=$2
shift 2
command -v lldb >/dev/null || {
	echo "SKIP: no lldb: apt-get install lldb"
	exit 77
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"; [ -z "${guest-}" ] || kill "$guest" 2>/dev/null' EXIT
mkfifo "$work/says"
"$ring3" run --timeout 60 --gdb :0 -S "$@" "$kernel" </dev/null >"$work/console" 2>"$work/says" &
guest=$!
exec 3<"$work/says"
read -r line <&3
port=${line##*:}

cat >"$work/wanted" <<'END'
Process 1 stopped
Breakpoint 1:
stop reason = breakpoint 1.1
counter += by;
(uint64_t) by = 1
rip = 0x
`count
"written by the guest"
stop reason = step over
Process 1 exited with status = 7
END
HOME=$work timeout -k 5 80 lldb --no-lldbinit --batch "$kernel" \
	-o "gdb-remote 127.0.0.1:$port" -o 'breakpoint set --name count' -o 'continue' -o 'frame variable by' \
	-o 'register read rip' -o 'memory read --format s &text' -o 'thread step-over' -o 'breakpoint delete --force' \
	-o 'continue' </dev/null >"$work/out" 2>&1
expect_in_order "$work/wanted" "$work/out"
wait "$guest"
status=$?
guest=
[ $status -eq 7 ] || {
	echo "FAIL: exit status $status, expected 7"
	cat "$work/out"
	exit 1
}
grep -q 'counter 6, answer 7' "$work/console" || {
	echo "FAIL: the guest did not come to its end"
	exit 1
}
