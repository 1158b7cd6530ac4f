#!/bin/sh
# Runs the guest of the nanobenchmarks for a moment, and looks whether each of its measures reports:
#   nano.sh RING3 GUEST ENGINE on|off
set -u
out=$(timeout -k 5 110 "$1" run --timeout 100 --engine "$3" -a "pv=$4 budget=1" "$2" </dev/null 2>&1)
got=$?
echo "$out"
[ $got -eq 0 ] || { echo "FAIL: exit status $got"; exit 1; }
number='[0-9]+\.[0-9]{3}'
for measure in syscall in cr8wr callret pgfault divzero ptemod remap mask flags integer memory hypercall forkwait fresh; do
	echo "$out" | grep -qE "^bench: $measure median $number p10 $number p90 $number samples [1-9][0-9]* count [1-9][0-9]*\$" || {
		echo "FAIL: no line for $measure"
		exit 1
	}
done
