#!/bin/sh
# A fork bomb in a shell that may have 50 processes. The machine stays usable, and is clean afterwards.
if [ $$ -ne 1 ] || ! grep -q tinix /proc/version; then
	echo "$0: only as process 1 of tinix; it would bring another machine down" >&2
	exit 1
fi
# Who cannot fork ends; who could twice stays, so that the limit is always reached and the bomb never burns out.
(
	ulimit -u 50
	bomb() { (bomb) & (bomb) & exec sleep 1000; }
	bomb
) 2>/dev/null &
sleepers() { ps -o args | grep -c '^[s]leep'; }
until [ "$(sleepers)" -gt 15 ]; do :; done
n=$(ls -d /proc/[0-9]* | wc -l)
[ "$n" -le 55 ] && echo "limited, not gone" || echo "$n alive" # 50, this one, and who counts
until [ "$(sleepers)" -eq 0 ]; do kill -KILL -1; done
sh -c 'echo usable'
