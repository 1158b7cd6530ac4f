#!/bin/bash
# Marks an exercise:  mark.sh NAME GUEST       (mark.sh 02-popf mykernel/build/mykernel.elf)
# Runs the guest on the engines and looks for what the exercise asks. Status 0: done; 1: a line for each thing that is
# missing. RING3 names another ring3 than build/ring3.
set -u
ring3=${RING3:-build/ring3}
name=$1 guest=$2
here=$(dirname "$0")
missing=0

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

miss() {
	echo "$name: $*"
	missing=1
}

# run ENGINE WORDS [OPTION...]: output in $work/ENGINE
run() {
	local engine=$1 words=$2
	shift 2
	"$ring3" run --timeout "${R3_LIMIT:-20}" --engine="$engine" -a "$words" "$@" "$guest" </dev/null >"$work/$engine" 2>"$work/err" ||
		miss "under $engine it ends with status $?: $(head -n 1 "$work/err")"
}
all() {
	for engine in trap interpret hybrid; do
		run $engine "$@"
	done
}
# shows ENGINES PATTERN: a line of the output
shows() {
	for engine in $1; do
		grep -qE -- "$2" "$work/$engine" || miss "under $engine no line says: $2"
	done
}
same() {
	cmp -s <(grep "$3" "$work/$1") <(grep "$3" "$work/$2")
}
every="trap interpret hybrid"

case $name in
01-*)
	all pv=off
	for row in HLT RDMSR LMSW; do
		shows "$every" "^$row.* #GP"
	done
	shows "$every" '^PUSHF +executes'
	shows "$every" 'POPF +executes'
	;;
02-*)
	all pv=off
	shows "interpret hybrid" '^after POPF with IF set: the interrupt came'
	shows trap '^after POPF with IF set: the interrupt WAITS'
	shows "$every" '^after STI: the interrupt came'
	;;
03-*)
	all pv=off
	shows "$every" 'frame 0, copy 0'
	shows "$every" 'frame 1, copy 1'
	for engine in $every; do
		grep -qE 'frame 0, copy 1|frame 1, copy 0' "$work/$engine" && miss "under $engine the copy is wrong once"
	done
	;;
04-*)
	all pv=off
	shows trap 'LONGER'
	shows "interpret hybrid" 'less'
	;;
05-*)
	all pv=off
	shows "$every" 'kernel runs in ring 0'
	shows "$every" 'user program runs in ring 3'
	;;
06-*)
	for letter in A B; do
		(
			all=$work work=$work/$letter.run
			mkdir "$work"
			run trap "pv=off mark=$letter" -m 8
			mv "$work/trap" "$all/$letter"
			exit $missing
		) &
	done
	wait -n || missing=1
	wait -n || missing=1
	shows A '^A: marked more than [1-9].* found 0 foreign marks'
	shows B '^B: marked more than [1-9].* found 0 foreign marks'
	;;
07-*)
	all pv=off
	shows "$every" '^trace of registers'
	same trap interpret 'trace of registers' || miss "the traces of registers differ between trap and interpret"
	same trap interpret 'trace of memory' && miss "the traces of memory do not differ between trap and interpret"
	same hybrid interpret 'trace of memory' || miss "the traces of memory differ between hybrid and interpret"
	;;
08-* | 10-*)
	# exits WORDS: how often it leaves to the monitor under trap, its first digit; "few" is below 80
	exits() {
		RING3=$ring3 "$here/exits.sh" "$guest" "$1" | sed -n 's/^trap.* //p' | sed 's/none\|few/0/'
	}
	case $name in
	08-*) many=way=one few=way=all at_least=200 ;;
	10-*) many=pv=off few=pv=on at_least=10000 ;;
	esac
	count=$(exits $many)
	[ "${count:-0}" -ge $at_least ] || miss "$many makes ${count:-no} exits, not $at_least"
	count=$(exits $few)
	[ "${count:-1}" -eq 0 ] || miss "$few makes ${count:-no} exits, not few"
	;;
09-*)
	all pv=off
	for insn in SGDT SIDT STR SMSW CS PUSHF; do
		shows interpret "$insn.* right"
		shows "hybrid" "$insn.* WRONG"
	done
	;;
11-*)
	all pv=off
	shows "$every" '^ABABAB'
	;;
12-*)
	all pv=off
	shows "$every" '64 pages as they should be'
	run trap pv=off --stats "$work/stats"
	writes=$(sed -n 's/.*"table_writes": \([0-9]*\).*/\1/p' "$work/stats" | head -n 1)
	[ "${writes:-0}" -ge 1 ] && [ "$writes" -lt 64 ] || miss "its stores made ${writes:-no} exits: not one for all"
	;;
13-*)
	all pv=off
	shows "interpret hybrid" "^the flag is the processor's"
	shows trap "^the flag is the kernel's own copy"
	shows "$every" '^interrupts are off when the kernel is ready'
	shows "$every" '^and on afterwards'
	for engine in $every; do
		grep -q WARNING "$work/$engine" && miss "under $engine an assertion fails"
	done
	;;
14-*)
	all pv=off
	shows "$every" '^CR8 has 12, the last value'
	run trap pv=off --stats "$work/stats"
	exits() {
		sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$work/stats" | head -n 1
	}
	traps=$(exits privileged) clustered=$(exits clustered)
	[ $((${traps:-0} + ${clustered:-0})) -ge 4096 ] || miss "it makes ${traps:-no} exits and has ${clustered:-no} instructions clustered: not all values went to CR8"
	[ "${traps:-4096}" -lt 1024 ] || miss "it makes ${traps:-many} exits, and not fewer than 1024"
	;;
*)
	echo "mark.sh: no exercise is called $name" >&2
	exit 2
	;;
esac
[ $missing -ne 0 ] || echo "$name: done"
exit $missing
