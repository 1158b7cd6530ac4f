#!/bin/bash
# What cannot be written to standard output is status 125, whatever the verb:  output.sh RING3
set -u
ring3=$1
failed=0

lost() {
	"$ring3" "$@" >/dev/full 2>/dev/null
	full=$?
	"$ring3" "$@" >&- 2>/dev/null
	closed=$?
	[ $full -eq 125 ] && [ $closed -eq 125 ] && return
	echo "FAIL: ring3 $*: $full where the disk is full, $closed where it is closed"
	failed=1
}

lost --help
lost --version
for verb in run report top new doctor classify bench compare lockstep; do
	lost "$verb" --help
done
lost doctor --json
exit $failed
