# Sourced by the tests of `ring3 report`: a place to work in, traces good and bad, and the data of a page.

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*"
	[ ! -s "$work/log" ] || head -c 4000 "$work/log"
	exit 1
}

# make_trace FILE [options of ring3 run...] KERNEL
make_trace() {
	local file=$1
	shift
	timeout -k 5 60 "$ring3" run --timeout 50 --trace-file "$file" "$@" </dev/null >"$work/log" 2>&1 || fail "no trace"
}

# data PAGE: the digest in it
data() {
	sed -n 's#^<script type="application/json" id="data">\(.*\)</script>$#\1#p' "$1"
}

# hostile_trace FILE GOOD_TRACE: markup wherever a string may stand, and 13 lines that cannot be understood
hostile_trace() {
	local evil='</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'"'"'<!--&#x3c;\u2028\u202e'
	local nested
	{
		head -n 1 "$2" | sed "s#\"image\":\"[^\"]*\"#\"image\":\"$(sed 's/[\\&#]/\\&/g' <<<"$evil")\"#"
		sed -n '2,400p' "$2" | grep '"type":"event"' | head -n 200
		for kind in exit fault; do
			printf '{"type":"event","ns":1000,"vcpu":0,"cpl":0,"rip":"0x1234","symbol":"%s","kind":"%s","reason":"%s","args":{"guest_ns":5},"cost_ns":7}\n' \
				"$evil" "$kind" "$evil"
		done
		# More reasons and places than there is room for.
		for ((i = 0; i < 3000; i++)); do
			printf '{"type":"event","ns":%d,"rip":"0x%x","kind":"exit","reason":"r%d","cost_ns":%d}\n' $((i * 999)) $((i * 16)) $((i % 300)) $i
		done
		echo '{"type":"event","ns":1000000000000000000,"rip":"0x1","kind":"exit","reason":"late","cost_ns":1}'
		echo '{"type":"something of later versions"}'
		printf '{"type":"summary","ns":"<b>","exit_reason":"%s","sensitive":[{"instruction":"%s","trapped":3},17,null,{"instruction":{},"trapped":"x"}],"hypercalls":{"%s":4,"__proto__":5},"guest_tables":[{"root":"%s","gva":"%s","gpa":"0x0","bytes":4096,"rights":7},{"root":"0x1000","gva":"0x2000","gpa":"0x3000","bytes":8192,"rights":"%s"},null],"shadow_tables":[{"root":"0x1000","space":"%s","gva":"0x2000","gpa":"0x3000","bytes":4096,"rights":"rwx"}]}\n' \
			"$evil" "$evil" "$evil" "$evil" "$evil" "$evil" "$evil"
		# What cannot be understood.
		echo 'garbage'
		echo '{"type":"event"}'
		echo '{"type":"event","ns":-5,"rip":"0x1","kind":"exit","reason":"a"}'
		echo '{"type":"event","ns":1e300,"rip":"0x1","kind":"exit","reason":"a"}'
		echo '{"type":"event","ns":9223372036854775807,"rip":"0x1","kind":"exit","reason":"a"}'
		echo '{"type":"event","ns":5,"rip":"nowhere","kind":"exit","reason":"a"}'
		echo '{"type":"event","ns":5,"rip":"0x1","kind":["exit"],"reason":"a"}'
		echo '{"type":"header","schema":"something else"}'
		echo '[]'
		printf '\377\376\001\n'
		nested=$(printf '%3000s' '')
		echo "${nested// /[}"
		head -c 1100000 /dev/zero | tr '\0' x
		echo
		printf '{"type":"event","ns":77,"rip":"0x' # cut off
	} >"$1"
}
