#!/bin/sh
# `ring3 compare` and `ring3 lockstep` as their users meet them:  equivalence.sh RING3 GUEST BAD_IMAGE CASE
set -u
ring3=$1 guest=$2 bad=$3 case=$4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# expect STATUS COMMAND...: output goes to $work/out and $work/err.
expect() {
	want=$1
	shift
	timeout -k 5 100 "$@" </dev/null >"$work/out" 2>"$work/err"
	got=$?
	[ "$got" -eq "$want" ] && return
	echo "FAIL: $*: status $got, expected $want"
	cat "$work/out" "$work/err"
	exit 1
}

# says REGEX [FILE]: a line of the output is like that.
says() {
	grep -Eq "$1" "$work/${2:-out}" && return
	echo "FAIL: no line like: $1"
	cat "$work/out" "$work/err"
	exit 1
}

lockstep() {
	want=$1
	shift
	expect "$want" "$ring3" lockstep "$@" "$guest"
}

case $case in
compare)
	expect 0 "$ring3" compare --json "$work/json" "$guest"
	says '^All engines and transports agree'
	for run in trap/signal trap/ptrace translate/signal translate/ptrace hybrid/signal hybrid/ptrace interpret; do
		says "^$run pv=on +0 "
		says "^$run pv=off +0 "
	done
	grep -q '"schema": "ring3-compare"' "$work/json" && grep -q '"agree": true' "$work/json" || exit 1
	;;
compare.output)
	expect 1 "$ring3" compare --append 'pv=on output=1' "$guest"
	says '^interpret differs from trap/signal:'
	says 'output from line 4 on'
	says 'trap/signal +.CPL 3'
	says 'interpret +.CPL 0'
	;;
compare.status)
	expect 1 "$ring3" compare --append 'pv=off status=1' "$guest"
	says 'status 3 in trap/signal, 0 in interpret'
	;;
compare.timeout) # one engine decides not to end: that run alone is stopped; and where none ends, nothing agrees
	expect 1 "$ring3" compare --timeout 3 --append 'pv=off hang=1' "$guest"
	says '^trap/signal +124 timed out '
	says '^interpret +0 NO '
	says '^trap/signal was ended after 3 s'
	expect 1 "$ring3" compare --timeout 0.2 --append 'pv=off spin=1' "$guest"
	says '^interpret +124 timed out '
	expect 0 "$ring3" compare --help
	says 'timeout=SECONDS .*60'
	;;
compare.svg)
	if command -v gnuplot >/dev/null; then
		expect 0 "$ring3" compare --append pv=on --svg "$work/svg" "$guest"
		grep -q '<svg' "$work/svg" && grep -q 'interpret' "$work/svg" || exit 1
	fi
	expect 125 env PATH="$work" "$(command -v "$ring3")" compare --svg "$work/none" "$guest"
	;;
clean)
	for engines in trap,interpret translate,interpret hybrid,interpret trap,hybrid; do
		for pv in on off; do
			lockstep 0 --engines=$engines --append pv=$pv
			says "^lockstep: $(echo $engines | sed 's/,/ and /') agree: the guest ended with status 0"
			says 'registers at [1-9][0-9]{2,3} points \(exits\)'
		done
	done
	;;
ptrace)
	lockstep 0 --transport ptrace --append pv=on
	lockstep 0 --transport ptrace --append pv=off
	;;
instruction)
	lockstep 0 --step=instruction --limit=2000 --append pv=on
	says 'registers at 2000 points \(instructions\)'
	lockstep 0 --step=instruction --limit=2000 --append pv=off --engines=trap,hybrid
	lockstep 0 --step=instruction --limit=20000 --append pv=off --engines=hybrid,interpret
	;;
popf)
	for engines in trap,interpret trap,hybrid; do
		lockstep 1 --engines=$engines --append 'pv=off popf=1'
		says 'after 0x[0-9a-f]+ <pass_popf\+0x1>:  popfq'
		says 'class: sensitive \(behaviour/mode\), as POPF'
		says '^  RFLAGS '
	done
	;;
memory) # what differs is stored, and no register shows it
	lockstep 1 --append 'pv=on sgdt=1'
	says 'after 0x[0-9a-f]+ <pass_sgdt\+0x0>:  sgdt'
	says 'class: sensitive \(behaviour/state\), as SGDT'
	says '^  memory at gpa '
	;;
overwritten) # what differs is in memory for one instruction, which has it in a register
	lockstep 1 --append 'pv=off pushf=1'
	says 'after 0x[0-9a-f]+ <pass_pushf\+0x3>:  pushfq'
	says '^  memory at gpa '
	;;
spin)
	lockstep 124 --timeout 3 --append 'pv=on spin=1'
	timeout -s INT -k 5 2 "$ring3" lockstep --append 'pv=on spin=1' "$guest" >"$work/out" 2>"$work/err"
	says 'ended by a signal' err
	;;
wrong)
	lockstep 125 --engines=trap
	says 'is no pair of engines' err
	lockstep 125 --step=day
	lockstep 125 --limit=0
	lockstep 125 --limit
	expect 125 "$ring3" lockstep
	expect 126 "$ring3" lockstep "$bad"
	expect 126 "$ring3" compare "$bad"
	expect 125 "$ring3" compare
	expect 125 "$ring3" compare --engine trap "$guest"
	expect 125 "$ring3" compare --json /no/such/place "$guest"
	says 'cannot write' err
	;;
*)
	echo "no case $case"
	exit 1
	;;
esac
