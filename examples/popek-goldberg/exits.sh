#!/bin/sh
# What a guest's instructions cost:  exits.sh GUEST [WORDS for the guest's command line]
# Runs it on every engine and prints how much of it was interpreted, and how often it left to the monitor for a sensitive
# instruction or a hypercall: two digits, "few" below 80, since the library's start makes some too. Instructions are
# counted by the engine that interprets all of them. `ring3 run --stats FILE` has the figures. RING3 names another ring3
# than build/ring3.
ring3=${RING3:-build/ring3}
guest=$1
shift

stats=$(mktemp) || exit 1
trap 'rm -f "$stats"' EXIT
for engine in interpret trap hybrid; do
	"$ring3" run --engine=$engine --stats "$stats" -a "$*" "$guest" >/dev/null || exit
	# The first of each: what follows are parts of the same.
	awk -v engine=$engine '
		/"(privileged|clustered|hypercall|direct)":/ && !seen[$1]++ { exits += $2 }
		/"interpreted":/ && !seen[$1]++ { interpreted = $2 + 0 }
		END { print engine, interpreted, exits + 0 }' "$stats"
done | awk '
	function rounded(n,  unit) {
		if (n < 80)
			return n ? "few" : "none"
		for (unit = 1; n / unit >= 100; unit *= 10)
			;
		return int(n / unit + 0.5) * unit
	}
	NR == 1 { print "engine     interpreted     exits"; all = $2 }
	{ printf "%-10s %8.0f %% %9s\n", $1, 100 * $2 / all, rounded($3) }'
