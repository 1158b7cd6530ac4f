#!/bin/sh
# Jumps from kernel mode into the gate's text, one run each:
#   jumps.sh R3_WATCH RING3 ESCAPE NEIGHBOUR TRANSPORT EVERY
# EVERY: 1 all of them, n each nth.
# Where a jump leads is the guest's business, so long as it ends there: in a crash with a reason, by the time limit, or
# by itself. What remains is judged by r3_watch.
set -u
watch=$1 ring3=$2 escape=$3 neighbour=$4 transport=$5 every=$6

try() {
	"$watch" -s 0,1,101,120,124 -n ESCAPED -w 4000 -N "$neighbour" -- "$ring3" run --timeout 0.3 \
		--transport "$transport" --append "attack=$1 pv=$2 $3" "$escape" || {
		echo "attack=$1 pv=$2 $3"
		exit 1
	}
}

# All over the text, and byte by byte where hypercalls enter.
at=0
while [ $at -lt 4864 ]; do
	try jump on "at=$at set=0"
	try jump off "at=$at set=2"
	at=$((at + 131 * every))
done
at=90
while [ $at -lt 130 ]; do
	try jump on "at=$at set=2"
	at=$((at + 3 * every))
done
# A page of the guest's own for the gate's state: some of these stand until they are ended.
for at in 0 61 122 183 700; do
	try jump on "at=$at set=1"
done
# Each word of the exchange page.
at=0
while [ $at -lt 320 ]; do
	try words on "at=$at value=0xffffffff"
	try words off "at=$at value=1"
	at=$((at + 4 * every))
done
