#!/bin/sh
# Pipelines, redirection, substitution, background jobs, traps, statuses.
cd /tmp || exit 1
printf 'b\na\nc\n' | sort | tr a-c A-C
echo out >f; echo more >>f; cat <f
ls /nonexistent 2>err >out; cat err; [ -s out ] || echo 'out is empty'
{ echo both; echo err >&2; } >log 2>&1; cat log
exec 3>third; echo through 3 >&3; exec 3>&-; cat third
echo "nested: $(echo $(echo deep) $(cat f | wc -l))"
cat <<X
here: $((6 * 7))
X
{ for i in 3 1 2; do (sleep 0.$i; echo "job $i") & done; wait; } | sort
echo all done
f() { return 5; }; f; echo "function $?"
sh -c 'exit 3'; echo "child $?"
sh -c 'kill -TERM $$' 2>/dev/null; echo "killed $?"
false | true; echo "pipe $?"
trap 'echo trapped' USR1; kill -USR1 $$; trap - USR1
(trap 'echo leaving' EXIT; exit 0)
set -- x 'y z' "*"; echo $# "$2" "$3"
mkdir glob; touch glob/a1 glob/a2 glob/b1; echo glob/a*; cd glob && echo ??
case hello in h*o) echo matched ;; esac
i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); done; echo $i
yes | head -n 2
seq 1 100000 | wc -l
(exec 2>/dev/null; nonexistent_command); echo "not found $?"
sleep 100 & kill $!; wait $! 2>/dev/null; echo "job $?" # whether wait says "Terminated" is a race in the shell
echo pipe-read | { read x; echo "got $x"; }
echo $$
exit 42
