#!/bin/sh
# Many starts in a row leave nothing: no process, no shared memory.  again.sh R3_WATCH RING3 HELLO COUNT
set -u
watch=$1 ring3=$2 hello=$3 count=$4

# shellcheck disable=SC2016
exec "$watch" -n . -E -- /bin/sh -c '
	ring3=$1 hello=$2 count=$3
	while [ "$count" -gt 0 ]; do
		[ "$("$ring3" run "$hello" </dev/null | wc -l)" -eq 1 ] || exit 1
		count=$((count - 1))
	done' - "$ring3" "$hello" "$count"
