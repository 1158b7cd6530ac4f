#!/bin/sh
# What a guest's instructions cost:  exits.sh GUEST [WORDS for the guest's command line]
# Runs it on every engine and prints how much of it was interpreted, and how often it left to the monitor for a sensitive
# instruction or a hypercall. Instructions are counted by the engine that interprets all of them. RING3 names another
# ring3 than build/ring3.
ring3=${RING3:-build/ring3}
guest=$1
shift

stats=$(mktemp) || exit 1
trap 'rm -f "$stats"' EXIT
for engine in interpret trap hybrid; do
	"$ring3" run --engine=$engine --stats "$stats" -a "$*" "$guest" >/dev/null || exit
	awk -v engine=$engine '
		/"(privileged|clustered|hypercall|direct)":/ { exits += $2 }
		/"interpreted":/ { interpreted = $2 + 0 }
		END { print engine, interpreted, exits }' "$stats"
done | awk '
	NR == 1 { print "engine     interpreted     exits"; all = $2 }
	{ printf "%-10s %8.0f %% %9d\n", $1, 100 * $2 / all, $3 }'
