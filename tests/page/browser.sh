#!/bin/bash
# The page of `ring3 report` in a browser: no error on the console, each chart drawn, nothing of a hostile trace
# executed. Screenshots, light, dark and printed, are left in OUTPUT. Skipped where Chromium is missing.
#   browser.sh RING3 TICKS_GUEST PAGING_GUEST OUTPUT
set -u
ring3=$1 ticks=$2 paging=$3 output=$4
command -v chromium >/dev/null || {
	echo "skipped: there is no chromium"
	exit 77
}
. "$(dirname "$0")/common.sh"
mkdir -p "$output" 2>/dev/null || output=$work

# browser ARGUMENT...: a new profile each time; what pages say on the console goes to $work/log
browser() {
	rm -rf "$work/profile"
	HOME=$work timeout -k 5 90 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
		--user-data-dir="$work/profile" --enable-logging=stderr --window-size=1100,4200 "$@" 2>"$work/log" ||
		fail "chromium ends with $?"
	grep -q 'CONSOLE' "$work/log" && fail "the page complains"
	return 0
}

# At the end of the page: every canvas with its size, and whether anything is drawn on it, as text.
probe='<script>
	const told = [...document.querySelectorAll("canvas")].map((c) => c.id + ":" + (c.width > 99 && c.height > 29 &&
		c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v)));
	const said = document.createElement("p");
	said.id = "probe";
	said.textContent = ["charts", document.documentElement.dataset.ready, "hacked", window.hacked, "img",
		document.querySelectorAll("img").length, ...told].join(" ");
	document.body.append(said);
</script>'

# look NAME CHART...: these and no others are drawn
look() {
	local name=$1 said want
	shift
	"$ring3" report "$work/$name.jsonl" -o "$work/$name.html" 2>"$work/log" || fail "no page of $name"
	cp "$work/$name.html" "$work/probe.html"
	echo "$probe" >>"$work/probe.html"
	browser --dump-dom "file://$work/probe.html" >"$work/dom"
	said=$(grep -o '<p id="probe">[^<]*' "$work/dom") || fail "$name: the page's script does not run"
	want="charts $# hacked  img 0"
	for chart in "$@"; do
		want+=" chart-$chart:true"
	done
	[ "$said" = "<p id=\"probe\">$want" ] || fail "$name: in the page: $said; expected: $want"
}

make_trace "$work/ticks.jsonl" -a pv=off "$ticks"
look ticks exits share time costs places sensitive latency
make_trace "$work/paging.jsonl" "$paging"
look paging exits share time costs places sensitive hypercalls
hostile_trace "$work/hostile.jsonl" "$work/ticks.jsonl"
look hostile exits share time costs places sensitive hypercalls
grep -q '<h1 id="title">ring3: script&gt;&lt;img src=x' "$work/dom" || fail "a name with markup is not shown as it is"
head -c 20000 "$work/ticks.jsonl" >"$work/cut.jsonl"
look cut exits share time costs places
grep -q 'it was cut off' "$work/dom" || fail "it does not say that the trace was cut off"
head -n 1 "$work/ticks.jsonl" >"$work/empty.jsonl"
look empty

# To be looked at.
for scheme in light:1 dark:0; do
	browser --hide-scrollbars --blink-settings=preferredColorScheme=${scheme#*:} \
		--screenshot="$output/${scheme%:*}.png" "file://$work/ticks.html"
	[ "$(stat -c %s "$output/${scheme%:*}.png")" -gt 50000 ] || fail "no screenshot, ${scheme%:*}"
done
cmp -s "$output/light.png" "$output/dark.png" && fail "light and dark are the same"
browser --no-pdf-header-footer --print-to-pdf="$output/print.pdf" "file://$work/ticks.html"
[ "$(stat -c %s "$output/print.pdf")" -gt 20000 ] || fail "it cannot be printed"
exit 0
