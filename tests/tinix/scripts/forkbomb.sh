#!/bin/sh
# A fork bomb in a shell that may have 50 processes. The machine stays usable, and is clean afterwards.
if [ $$ -ne 1 ] || ! grep -q tinix /proc/version; then
	echo "$0: only as process 1 of tinix; it would bring another machine down" >&2
	exit 1
fi
(
	ulimit -u 50
	bomb() { bomb | bomb & }
	bomb
) 2>/dev/null
bombs() { ps -o stat,args | grep "$1" | grep -c '[r]un'; }
until [ "$(bombs .)" -gt 25 ]; do :; done
kill -STOP -1 # all but this one: now they can be counted
until n=$(bombs '^T'); [ "$n" -gt 20 ]; do :; done
[ "$n" -le 50 ] && echo "limited, not gone" || echo "$n alive"
kill -KILL -1
until [ "$(bombs '^T')" -eq 0 ]; do :; done
sh -c 'echo usable'
