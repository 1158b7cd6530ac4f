#!/bin/sh
# What a guest's instructions cost:  exits.sh GUEST [WORDS for the guest's command line]
# Runs it on every engine and prints, in words that are the same on every host, how much of it was interpreted (of the
# instructions that the engine counts which interprets all of them), and how often it left to the monitor for a sensitive
# instruction or a hypercall ("few" are the library's own at its start). `ring3 run --stats FILE` has the figures. RING3
# names another ring3 than build/ring3.
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
	function share(part) {
		return part == 0 ? "nothing" : part < 0.1 ? "next to nothing" : part < 0.9 ? "a part" : "all"
	}
	function exits(n,  unit) {
		if (n < 80)
			return n ? "few" : "none"
		for (unit = 1; n / unit >= 10; unit *= 10)
			;
		return "over " int(n / unit) * unit
	}
	NR == 1 { print "engine     interpreted      exits"; all = $2 }
	{ printf "%-10s %-16s %s\n", $1, share($2 / all), exits($3) }'
