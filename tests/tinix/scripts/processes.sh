#!/bin/sh
# What ps, top, free and their like show of a machine whose processes are known.
sleep 1000 & a=$!
sleep 2000 & b=$!
until grep -q sleep /proc/$a/comm && grep -q sleep /proc/$b/comm; do :; done
ps -o pid,ppid,args | grep '[s]leep'
ps | awk 'NR == 1'
top -b -n1 | awk 'NR == 1 { print $1 } /sleep [12]000/ { n++ } END { print n, "sleepers" }'
free | awk '/^Mem/ { print ($2 > 60000 && $3 > 0 && $4 > 0 && $4 < $2) }'
uptime | grep -c 'load average'
awk '{ print NF, ($1 >= 0) }' /proc/uptime
awk '{ print NF }' /proc/loadavg
cat /proc/$a/comm; tr '\0' ' ' </proc/$a/cmdline; echo
awk '{ print $1, $2, $3, $4 }' /proc/$a/stat | sed "s/^$a /A /"
grep -E '^(Name|State|PPid)' /proc/$b/status
readlink /proc/$a/cwd; [ -c /proc/$a/fd/2 ] && echo fd
grep -c . /proc/self/maps >/dev/null && echo maps
reaches() { until [ "$(awk '{ print $3 }' /proc/$a/stat)" = $1 ]; do :; done; echo $1; }
kill -STOP $a; reaches T
kill -CONT $a; reaches S
kill $a $b; wait; ls -d /proc/$a 2>/dev/null || echo gone
mount | grep -c 'type proc'
hostname box; uname -snm
grep -q processor /proc/cpuinfo && echo cpuinfo
id
