#!/bin/sh
# A guest's bug ends in a report that names the cause in its first line:
#   bugs.sh STATUS TEXT RING3 [options of ring3 run...] KERNEL
set -u
status=$1 text=$2 ring3=$3
shift 3
err=$(mktemp) || exit 1
trap 'rm -f "$err"' EXIT
"$ring3" run --timeout 60 "$@" </dev/null >/dev/null 2>"$err"
got=$?
first=$(head -n 1 "$err")
case $first in
*"$text"*) named=yes ;;
*) named=no ;;
esac
[ "$got" -eq "$status" ] && [ $named = yes ] && exit 0
echo "FAIL: status $got, not $status, or the first line does not say '$text':"
echo "$first"
exit 1
