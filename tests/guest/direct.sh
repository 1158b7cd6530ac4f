#!/bin/sh
# A translated kernel's user mode comes and goes by the gate, without the monitor:
#   direct.sh RING3 GUEST LEAST [LOADS]
# where the guest makes more system calls than that. The first few of each kind are the interpreter's. And the kernel
# itself leaves for what is the monitor's alone, not at each of its globals; of its loads of CR3 at most so many.
set -u
# In the lower half the bases are the processor's, in the upper half the translator's own.
case $2 in
*upper*) ;;
*) "$1" doctor | grep -q '^ok *fsgsbase' || { echo "left out: no segment bases by instructions"; exit 77; } ;;
esac
stats=$(mktemp) || exit 1
trap 'rm -f "$stats"' EXIT
timeout -k 5 60 "$1" run --timeout 50 --engine translate --stats "$stats" -a pv=off "$2" </dev/null ||
	{ echo "FAIL: exit status $?"; exit 1; }
# count NAME: exits of that kind.
count() {
	sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p" "$stats"
}
direct=$(count direct) kicks=$(count kick)
echo "$direct calls by the gate, $kicks kicks and instructions interpreted by themselves"
loads=$(sed -n '/"instruction": "mov cr"/,/"interpreted"/s/^ *"interpreted": \([0-9]*\),*$/\1/p' "$stats")
echo "$loads control registers written by the monitor"
[ "$direct" -ge "$3" ] && [ "$kicks" -lt "$direct" ] && [ "${loads:-0}" -le "${4:-${loads:-0}}" ]
