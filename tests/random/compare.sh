#!/bin/sh
# Random sequences on several engines, which must all end them alike:
#   compare.sh RING3 GUEST MAKE WHERE SEED COUNT ENGINE ENGINE...
# WHERE: user, nofpu (user mode with the FPU switched off), kernel (it is interpreted), trap (kernel, on any engine),
# upper (as kernel, in the upper half), mixed or mixed_upper (the kernel's and user mode's by turns: the kernel lends its
# FPU). Where digests differ, the first sequence that does is found, shown, and run once more on both engines to show
# their states.
set -u
ring3=$1 guest=$2 make=$3 where=$4 seed=$5 count=$6
shift 6

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$make" "$where" "$seed" "$count" "$work/sequences" || exit 1
memory=$((count / 4000 * 12 + 48))

run() {
	by=$1 to=$2
	shift 2
	"$ring3" run --engine "$by" -m ${memory}M --timeout 600 --module "$work/sequences" --append "pv=off $*" "$guest" \
		>"$to" 2>"$work/err" </dev/null && return
	echo "FAIL: $by: exit status $?"
	tail -3 "$to"
	head -40 "$work/err"
	exit 1
}

# The first line in which two outputs differ: what the sequences before it were is in $last.
differing() {
	paste -d' ' "$1" "$2" | awk '$2 != $4 { print $1; exit }'
}

first=$1
run "$first" "$work/$first"
for engine; do
	[ "$engine" = "$first" ] && continue
	run "$engine" "$work/$engine"
	end=$(differing "$work/$first" "$work/$engine")
	[ -n "$end" ] || continue
	# With all that was before: what a sequence leaves behind may matter.
	run "$first" "$work/a" count=$end batch=1
	run "$engine" "$work/b" count=$end batch=1
	number=$(differing "$work/a" "$work/b")
	show=$((${number:-$end} - 1))
	echo "FAIL: sequence $show of seed $seed in '$where' differs${number:+, after those before it}"
	"$make" --show "$work/sequences" $show
	run "$first" "$work/a" count=$((show + 1)) batch=$count show=$show
	run "$engine" "$work/b" count=$((show + 1)) batch=$count show=$show
	diff -U0 --label "$first" --label "$engine" "$work/a" "$work/b" | grep -v '^@@'
	exit 1
done
echo "$count sequences of seed $seed in '$where' end alike: $*"
