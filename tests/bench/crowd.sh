#!/bin/bash
# A guest that exits often goes on beside many programs that want the CPU:  crowd.sh RING3 GUEST
# With a yield at each hand-over it would wait for a slice of each of them: minutes instead of a second.
set -u
ring3=$1 guest=$2 crowd=()
for _ in $(seq 16); do
	# Bounded: it ends by itself, whatever becomes of this script.
	timeout 40 sh -c 'while :; do :; done' &
	crowd+=($!)
done
# Gone when this ends: whoever counts a user's processes next is not to find them.
trap 'kill "${crowd[@]}"; wait' EXIT
"$ring3" run --timeout 20 -a pv=on "$guest" </dev/null
