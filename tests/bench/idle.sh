#!/bin/sh
# What guests cost that do nothing:
#   idle.sh RING3 BENCH_GUEST [SECONDS [GUESTS [options of ring3 run...]]]
# One guest first: processor time, context switches and private memory over SECONDS (default 5); then GUESTS (default
# 500) at once: the same of all of them. Guest RAM is counted apart. Not a test: it judges nothing, and needs an idle
# host.
set -eu
ring3=$1 guest=$2
shift 2
seconds=${1-5}
[ $# -eq 0 ] || shift
guests=${1-500}
[ $# -eq 0 ] || shift

work=$(mktemp -d)
pids=
cleanup() {
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	wait
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A console that stays open and never has input, as a terminal does.
mkfifo "$work/no_input"
exec 9<>"$work/no_input"

launch() { # NUMBER OPTIONS...
	number=$1
	shift
	"$ring3" run -a bench=idle "$@" "$guest" <&9 >"$work/console.$number" 2>"$work/error.$number" &
	pids="$pids $!"
}

await() { # NUMBER
	tries=0
	until grep -qs '^bench: idle' "$work/console.$1"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || { echo "guest $1 did not start:" >&2; cat "$work/error.$1" >&2; exit 1; }
		sleep 0.05
	done
}

# The monitors and their cells.
family() {
	for pid in $pids; do
		echo "$pid"
		cat "/proc/$pid/task/"*/children | tr ' ' '\n'
	done | grep .
}

# Clock ticks that all threads of the processes on stdin have used.
cpu_ticks() {
	while read -r pid; do cat "/proc/$pid/stat"; done | sed 's/.*) //' | awk '{sum += $12 + $13} END {print sum + 0}'
}

# Times that they were switched to.
switches() {
	while read -r pid; do cat "/proc/$pid/task/"*/status; done | awk '/ctxt_switches/ {sum += $2} END {print sum + 0}'
}

# Private memory in KiB: all but what follows, how much of it is no unchanged page of a file, the gate's pages, guest
# RAM. A page of RAM that only one process maps is private too.
memory() {
	while read -r pid; do cat "/proc/$pid/smaps"; done | awk '
		/^[0-9a-f]+-[0-9a-f]+ / {kind = /memfd:ring3-ram/ ? "ram" : /memfd:ring3 gate/ ? "gate" : "other"}
		/^Private_/ {kib[kind] += $2}
		/^Private_Dirty/ && kind == "other" {dirty += $2}
		END {printf "%d %d %d %d\n", kib["other"], dirty, kib["gate"], kib["ram"]}'
}

report() { # GUESTS
	family >"$work/family"
	ticks=$(cpu_ticks <"$work/family") switched=$(switches <"$work/family")
	sleep "$seconds"
	ticks=$(($(cpu_ticks <"$work/family") - ticks)) switched=$(($(switches <"$work/family") - switched))
	memory <"$work/family" | {
		read -r other dirty gate ram
		awk -v n="$1" -v hz="$(getconf CLK_TCK)" -v t="$ticks" -v s="$seconds" -v w="$switched" -v o="$other" \
			-v d="$dirty" -v g="$gate" -v r="$ram" -v p="$(wc -l <"$work/family")" 'BEGIN {
			printf "guests %d, processes %d: CPU %.2f %%, context switches %.1f a second\n", n, p, 100 * t / hz / s, w / s
			printf "  private memory a guest: %.0f KiB (%.0f dirty), gate %.0f KiB, guest RAM %.0f KiB\n", o / n, d / n, g / n, r / n
		}'
	}
}

available() {
	awk '/^MemAvailable/ {print $2}' /proc/meminfo
}

launch 0 "$@"
await 0
sleep 1
report 1
kill $pids
wait
pids=

before=$(available)
began=$(date +%s%N)
i=0
while [ $i -lt "$guests" ]; do
	launch $i "$@"
	i=$((i + 1))
done
i=0
while [ $i -lt "$guests" ]; do
	await $i
	i=$((i + 1))
done
echo "$guests guests started in $((($(date +%s%N) - began) / 1000000)) ms"
sleep 2
after=$(available)
report "$guests"
echo "  memory the host has less, all told: $(((before - after) / 1024)) MiB, $(((before - after) / guests)) KiB a guest"
