#!/bin/sh
# How each engine does the seven of lesson 14:  seven.sh GUEST
# One line each: how often guest code left its process, per operation, by the gate to the other mode or to the monitor; or
# that the kernel was interpreted, which is inside the monitor and leaves nothing. What the guest does besides is counted
# first, and left out. RING3 names another ring3 than build/ring3.
ring3=${RING3:-build/ring3}
engines="trap translate hybrid interpret"
times=10000
[ $# -eq 1 ] && [ -r "$1" ] || { echo "seven.sh: name the guest: build/lessons/14-techniques.elf" >&2; exit 125; }
[ -x "$ring3" ] || { echo "seven.sh: there is no $ring3: build it, or set RING3" >&2; exit 125; }

stats=$(mktemp) || exit 1
trap 'rm -f "$stats"' EXIT
for op in none syscall in cr8wr callret pgfault divzero ptemod; do
	for engine in $engines; do
		"$ring3" run --engine=$engine --stats "$stats" -a "pv=off op=$op" "$1" >/dev/null || exit
		# The first of each: what follows are parts of the same. One that is clustered is no exit of its own.
		awk -v op=$op -v engine=$engine '
			/"(privileged|syscall|direct|page_fault|exception|shadow_fill)":/ && !seen[$1]++ { exits += $2 }
			/"interpreted":/ && !seen[$1]++ { interpreted = $2 + 0 }
			END { print op, engine, exits + 0, interpreted + 0 }' "$stats"
	done
done | awk -v engines="$engines" -v times=$times '
	function word(op, engine,  exits) {
		if (interpreted[op, engine] - interpreted["none", engine] >= times)
			return "interpreted"
		exits = int((count[op, engine] - count["none", engine]) / times + 0.5)
		return exits ? exits " exit" (exits > 1 ? "s" : "") : "no exit"
	}
	{ count[$1, $2] = $3; interpreted[$1, $2] = $4 }
	!($1 in known) { known[$1]; if ($1 != "none") ops[++n] = $1 }
	END {
		split(engines, name, " ")
		printf "%-10s %-11s %-11s %-11s %s\n", "", name[1], name[2], name[3], name[4]
		for (i = 1; i <= n; i++)
			printf "%-10s %-11s %-11s %-11s %s\n", ops[i], word(ops[i], name[1]), word(ops[i], name[2]), word(ops[i], name[3]), word(ops[i], name[4])
	}'
