#!/bin/sh
# A guest's crash leaves no core file, however many the user wants:  core.sh R3_WATCH RING3 CRASH
set -u
watch=$1 ring3=$2 crash=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
# shellcheck disable=SC3045 # where the shell cannot, there are no core files either
ulimit -c unlimited 2>/dev/null
"$watch" -s 120 -e 'triple fault' -- "$ring3" run "$crash" || exit 1
left=$(ls -A)
[ -z "$left" ] || {
	echo "FAIL: left behind: $left"
	exit 1
}
