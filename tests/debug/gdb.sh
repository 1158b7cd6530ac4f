#!/bin/sh
# A session with Debian's gdb, from before the guest's first instruction to its end:
#   gdb.sh RING3 STATUS KERNEL SCRIPT [options of ring3 run...]
# SCRIPT holds gdb's commands. Its comments that begin with `#= ` are what must be printed, in this order; `#! ` is what
# must not be. STATUS is how ring3 must end. 77: there is no gdb.
set -u
. "$(dirname "$0")/order.sh"
ring3=$1 status=$2 kernel=$3 script=$4
shift 4
command -v gdb >/dev/null || {
	echo "SKIP: no gdb: apt-get install gdb"
	exit 77
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# gdb starts the monitor and talks to it through a pipe: the console goes to stderr then.
{
	echo '#!/bin/sh'
	printf '%s ' "'$ring3'" run --timeout 60 --gdb stdio -S
	for word; do
		printf "'%s' " "$word"
	done
	printf "'%s'\necho \$? >'%s'\n" "$kernel" "$work/status"
} >"$work/monitor"
cd "$work" || exit 1
HOME=$work timeout -k 5 80 gdb -nx -q -batch -iex 'set auto-load off' -ex 'set pagination off' -ex 'set width 0' \
	-ex "target remote | exec sh '$work/monitor'" -x "$script" "$kernel" </dev/null >"$work/out" 2>&1

for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -s "$work/status" ] && break
	sleep 0.5
done
sed -n 's/^#= //p' "$script" >"$work/wanted"
expect_in_order "$work/wanted" "$work/out"
sed -n 's/^#! //p' "$script" >"$work/unwanted"
if [ -s "$work/unwanted" ] && grep -F -f "$work/unwanted" "$work/out"; then
	echo "FAIL: that should not be there"
	cat "$work/out"
	exit 1
fi
[ "$(cat "$work/status")" = "$status" ] || {
	echo "FAIL: exit status '$(cat "$work/status")', expected $status"
	cat "$work/out"
	exit 1
}
