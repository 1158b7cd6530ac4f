#!/bin/bash
# An honest guest on a host that hardly lets it run is not taken for one that resists:  busy_host.sh RING3 ESCAPE
# Its processes get what others leave (SCHED_IDLE), and others leave nothing.
set -u
ring3=$1 escape=$2
spinners=

"$ring3" run --timeout 2 --append "attack=open_shut pv=off" "$escape" >/dev/null &
monitor=$!
for try in $(seq 100); do
	cells=$(ps -o pid= --ppid "$monitor")
	[ -z "$cells" ] || break
	sleep 0.05
done
for i in 1 2 3 4; do
	(while :; do :; done) &
	spinners="$spinners $!"
done
for cell in $cells; do
	chrt --all-tasks --idle --pid 0 "$cell"
done
wait "$monitor"
status=$?
kill $spinners
[ -n "$cells" ] && [ $status = 124 ] || {
	echo "status $status, expected 124; cells:$cells"
	exit 1
}
