#!/bin/sh
# Pipes opened by name, their writers gone or not; and a status that the machine's cannot show.
echo hi | cat /dev/stdin
echo done | (sleep 0.1; cat /proc/self/fd/0)
{ sleep 0.1; echo late; } | cat /dev/fd/0
cat /dev/stdin </dev/null
echo to stdout >/dev/stdout
(echo to stderr >/dev/stderr) 2>&1 | cat
exit 200
