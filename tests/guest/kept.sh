#!/bin/sh
# What is translated before the first program runs stays translated: the cache is emptied once, before there is any code.
#   kept.sh RING3 GUEST
set -u
stats=$(mktemp) || exit 1
trap 'rm -f "$stats"' EXIT
timeout -k 5 60 "$1" run --timeout 50 --engine translate --stats "$stats" -a pv=off "$2" </dev/null ||
	{ echo "FAIL: exit status $?"; exit 1; }
blocks=$(sed -n 's/^ *"blocks": \([0-9]*\),*$/\1/p' "$stats") flushes=$(sed -n 's/^ *"flushes": \([0-9]*\),*$/\1/p' "$stats")
echo "$blocks blocks, the cache emptied $flushes times"
[ "$blocks" -gt 0 ] && [ "$flushes" -le 1 ]
