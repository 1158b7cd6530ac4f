#!/bin/sh
# Many guests at once, all of which do their work:  parallel.sh R3_WATCH RING3 KERNEL COUNT
set -u
watch=$1 ring3=$2 kernel=$3 count=$4

# shellcheck disable=SC2016
exec "$watch" -n . -E -- /bin/sh -c '
	ring3=$1 kernel=$2 count=$3 pids=
	while [ "$count" -gt 0 ]; do
		"$ring3" run --timeout 50 "$kernel" >/dev/null </dev/null &
		pids="$pids $!" count=$((count - 1))
	done
	for pid in $pids; do
		wait "$pid" || exit 1
	done' - "$ring3" "$kernel" "$count"
