#!/bin/sh
# Programs that work on text, alone and in parallel.
cd /tmp || exit 1
seq 1 20000 | awk '{ s += $1; if ($1 % 5000 == 0) print $1, s }'
seq 1 50 | sed -n '/7$/{s/^/line /;p}'
seq 1 3000 | grep -c 9; seq 1 3000 | grep -v 1 | tail -n 1
printf '%s\n' pear apple fig apple | sort | uniq -c | sort -rn | head -n 1
seq 100 -1 1 | sort -n | head -n 3 | tr '\n' ' '; echo
printf 'a:b:c\nd:e:f\n' | cut -d: -f2 | paste -sd+ -
seq 1 40 | xargs -P4 -n1 sh -c 'echo $(($0 * $0))' | sort -n | tail -n 2
seq 1 10 | xargs -n 3 echo
seq 1 9 | tac | head -n 2
echo 'hello world' | rev | tr 'a-z' 'A-Z' | fold -w 5
printf '1\n2\n3\n' >a; printf '1\n3\n4\n' >b; diff a b | tail -n +3
echo 12345 | md5sum; seq 1 1000 | sha256sum; echo abc | sha1sum
echo 'scale=5; 22/7' | bc
seq 1 3 | while read n; do echo "$n $(expr $n \* 100)"; done
echo aGVsbG8K | base64 -d
seq 1 200000 | gzip | gunzip | md5sum
awk 'BEGIN { for (i = 1; i < 5; i++) printf "%.3f ", i / 7; print "" }'
