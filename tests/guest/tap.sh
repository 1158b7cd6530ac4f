#!/bin/sh
# `ring3 run --tap` and --junit: what each kind of report comes to:  tap.sh RING3 GUEST CRASHING_GUEST
# XML is checked by xmllint where that is installed.
set -u
ring3=$1 guest=$2 crash=$3

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*"
	cat "$work/out" "$work/err" "$work/xml" 2>/dev/null
	exit 1
}

# xml XPATH VALUE
xml() {
	command -v xmllint >/dev/null || return 0
	got=$(xmllint --nonet --xpath "string($1)" "$work/xml" 2>"$work/xmllint") || fail "$name: $(cat "$work/xmllint")"
	[ "$got" = "$2" ] || fail "$name: $1 is '$got', expected '$2'"
}

# run NAME STATUS TESTS FAILURES ERRORS MESSAGE-ON-STDERR
run() {
	name=$1
	rm -f "$work/xml"
	timeout -k 5 60 "$ring3" run --timeout 50 --junit "$work/xml" --append "tap=$name" "$guest" \
		</dev/null >"$work/out" 2>"$work/err"
	got=$?
	[ $got -eq "$2" ] || fail "$name: exit status $got, expected $2"
	grep -q "^ring3: tests: .*$6" "$work/err" || fail "$name: nothing on stderr says: $6"
	grep -q '^ok 1 - the first' "$work/out" || fail "$name: the console does not reach stdout"
	grep -q '</testsuites>' "$work/xml" || fail "$name: the XML is not whole"
	xml /testsuites/@tests "$3"
	xml /testsuites/testsuite/@failures "$4"
	xml /testsuites/testsuite/@errors "$5"
	xml "/testsuites/testsuite/testcase[1]/@name" '1 - the first, with a # SKIP and a \ in its name'
}

run passes 0 1 0 0 "1 passed, 0 failed"
run skips 0 2 0 0 "1 passed, 0 failed, 1 skipped"
run fails 1 2 1 0 "1 passed, 1 failed"
xml '//failure/@message' "the <second> & \"last\" [31m$(printf '\357\277\275')"
xml '//failure' "# got 0x36, want 0x2a"
run fails_silently 1 2 1 0 "1 passed, 1 failed"
run gives_up 1 2 0 1 "the guest gave up: the machine is on fire"
run crashes 101 2 0 1 "the guest panicked: "
run panics 101 2 0 1 "there is no plan"
run no_plan 1 2 0 1 "there is no plan"
run twice 1 3 0 1 "test 1 is reported a second time"
run status 7 2 0 1 "the guest ended with status 7"

# --tap alone; a guest that does not end; a place where nothing can be written.
"$ring3" run --tap --append tap=no_plan "$guest" </dev/null >"$work/out" 2>"$work/err"
[ $? -eq 1 ] || fail "--tap alone does not judge"
"$ring3" run --tap --timeout 0.3 --append tap=hangs "$guest" </dev/null >"$work/out" 2>"$work/err"
[ $? -eq 124 ] || fail "a guest that hangs does not time out"
grep -q '^ring3: tests: the guest was ended after 0.3 s' "$work/err" || fail "the time limit is no problem of the run"
"$ring3" run --tap "$crash" </dev/null >"$work/out" 2>"$work/err"
[ $? -eq 120 ] || fail "a crash keeps no status of its own"
grep -q '^ring3: tests: the guest crashed: triple fault' "$work/err" || fail "a crash is no problem of the run"
"$ring3" run --junit "$work/no/such/xml" --append tap=passes "$guest" </dev/null >"$work/out" 2>"$work/err"
[ $? -eq 125 ] || fail "an unwritable file does not end the run"
[ ! -s "$work/out" ] || fail "the guest ran although its results cannot be written"
command -v xmllint >/dev/null || echo "without xmllint: the XML was not parsed"
