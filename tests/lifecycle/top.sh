#!/bin/bash
# `ring3 top`: finds guests that run, stop, are killed, and end; keys and signals end it, and the terminal is as before:
#   top.sh R3_WATCH RING3 GUEST       (GUEST: tests/escape/escape.c)
set -u
watch=$1 ring3=$2 guest=$3

work=$(mktemp -d) || exit 1
export XDG_RUNTIME_DIR=$work
started=()
cleanup() {
	[ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

fail() {
	echo "FAIL: $*"
	cat "$work"/out* 2>/dev/null
	exit 1
}

# look LOOKS EXPECTED_REGEX...: in batch mode
look() {
	timeout -k 5 30 "$ring3" top -b -n "$1" -d 0.2 >"$work/out" 2>&1 || fail "top ends with $?"
	shift
	for regex in "$@"; do
		grep -Eq -- "$regex" "$work/out" || fail "nothing like: $regex"
	done
}

# start ATTACK: a guest, waited for until it says that it is ready; its process is $pid
start() {
	local n=${#started[@]}
	mkfifo "$work/console.$n"
	"$ring3" run --timeout 120 -a "attack=$1" "$guest" >"$work/console.$n" 2>/dev/null </dev/null &
	pid=$!
	started+=("$pid")
	exec {console}<"$work/console.$n"
	read -r -t 60 -u "$console" line && [[ $line == *ready* ]] || fail "the guest does not come up: $line"
}

look 1 '^ +PID +CPU .* EXITS/s +TOUCHED +RAM +SHADOWED +KEPT' 'no guest runs'

start loop_cli
busy=$pid
start idle
idle=$pid
look 3 "^ *$busy .* trap +escape\.elf$" "^ *$idle .* trap +escape\.elf$" ' hypercall [0-9]' \
	"^ *$busy +[0-9]+% +[0-9]+% +[0-9]+% +[0-9.]+[kM]? +[0-9.]+[kM] +64\.0M +[0-9.]+[kM] +[0-9.]+[kM] +[0-9]+\.[0-9] "
[ "$(grep -c "^ *$busy " "$work/out")" -eq 3 ] || fail "not three looks"
[ "$(stat -c %a "$work/ring3")" = 700 ] || fail "others may look into the directory"
printf 'garbage' >"$work/ring3/123456" # no socket
look 1 "^ *$busy " "^ *$idle "

# Who asks and does not listen, or asks much, does not hold the guest up.
"$ring3" top -b -n 20 -d 0.1 >/dev/null & asked=$!
started+=("$asked")
look 5 "^ *$busy .* trap "
wait "$asked" || fail "two at a time are too many"

# One that is stopped does not answer, and does not hold up the others.
kill -STOP "$idle"
look 1 "^ *$idle .*stopped, or too busy" "^ *$busy .* trap "
kill -CONT "$idle"
look 1 "^ *$idle .* trap "

# What a killed one leaves is removed; one that ends leaves nothing.
kill -KILL "$busy"
wait "$busy" 2>/dev/null
[ -S "$work/ring3/$busy" ] || fail "a killed monitor cannot have removed its socket"
look 1 "^ *$idle "
grep -q "^ *$busy " "$work/out" && fail "a killed guest is shown"
[ -e "$work/ring3/$busy" ] && fail "what a killed guest leaves is not removed"

# In a terminal: keys and signals. r3_watch sees to it that the terminal is as before.
ended() {
	"$watch" -i pty -a "$idle" "$@" -o "$(printf '\033')\\[\\?1049l" -w 5000 -- "$ring3" top -d 0.2 >"$work/out.pty" 2>&1 ||
		fail "in a terminal: $*"
}
ended -y q -s 0
ended -y '^C' -s 0
ended -k 15 -s 143
ended -k 1 -s 129

kill -TERM "$idle"
wait "$idle" 2>/dev/null
[ -e "$work/ring3/$idle" ] && fail "a guest that ended leaves its socket"
look 1 'no guest runs'

# What it refuses.
refused() {
	timeout -k 5 30 "$ring3" top "$@" >"$work/out" 2>&1 </dev/null
	[ $? -eq 125 ] || fail "not refused: $*"
	grep -q '^ring3: top: ' "$work/out" || fail "no word on: $*"
}
refused
refused -b -n 0
refused -b -n -1
refused -b -d 0
refused -b -d nan
refused something
timeout -k 5 30 "$ring3" top -b -n 1 >/dev/full 2>"$work/out"
[ $? -eq 125 ] || fail "a full output is not told"

# A directory that others may read is not used; a guest runs without.
chmod 755 "$work"
mkdir -m 777 "$work/odd"
XDG_RUNTIME_DIR=$work/odd "$ring3" run -a attack=exit "$guest" </dev/null >/dev/null 2>&1 || fail "it does not run"
[ -e "$work/odd/ring3" ] && fail "a directory that is open to others is used"
exit 0
