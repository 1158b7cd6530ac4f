#!/bin/sh
# Core files of guests:  core.sh gdb|places RING3 KERNEL ENGINE
set -u
. "$(dirname "$0")/order.sh"
what=$1 ring3=$2 kernel=$3 engine=$4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# crash CORE NAME [options...]: its messages are in $work/err.
crash() {
	core=$1 name=$2
	shift 2
	timeout -k 5 70 "$ring3" run --timeout 60 --engine "$engine" --core "$core" "$@" --append "crash=$name pv=off" \
		"$kernel" </dev/null >"$work/out" 2>"$work/err"
	got=$?
	[ $got -eq 120 ] || fail "exit status $got with core $core"
}

fail() {
	echo "FAIL: $*"
	cat "$work/err"
	exit 1
}

says() {
	grep -q "$1" "$work/err" || fail "'$1' was not said"
}

case $what in
gdb)
	command -v gdb >/dev/null || {
		echo "SKIP: no gdb: apt-get install gdb"
		exit 77
	}
	crash "$work/core" nested
	says "ring3: core in $work/core; look at it with: gdb "
	blocks=$(du -k "$work/core" | cut -f1)
	[ "$blocks" -lt 4096 ] || fail "the core is not sparse: $blocks KiB on disk"
	cat >"$work/wanted" <<-'END'
		Program terminated with signal SIGSEGV
		touch (gva=
		#1
		in die ()
		in on_fault (
		<signal handler called>
		touch (gva=
		in inner ()
		in outer ()
		in crash_nested ()
		in main (
		rip: 1
		arguments: 0x800dead008
		user_stack: 4096
		physical: 1
		mxcsr: 1
	END
	HOME=$work timeout -k 5 60 gdb -nx -q -batch -iex 'set auto-load off' -ex 'set pagination off' -ex backtrace \
		-ex 'printf "rip: %d\n", (long)$rip == (long)&touch || (long)$rip - (long)&touch < 16' \
		-ex 'frame function inner' -ex 'down' -ex 'printf "arguments: 0x%lx\n", $rdi' \
		-ex 'printf "user_stack: %d\n", sizeof(user_stack)' \
		-ex 'printf "physical: %d\n", *(long *)&pvg_start_c == *(long *)(0x1000000000000000 + (long)&pvg_start_c)' \
		-ex 'printf "mxcsr: %d\n", $mxcsr != 0' "$kernel" "$work/core" >"$work/gdb" 2>&1
	expect_in_order "$work/wanted" "$work/gdb"
	if grep -i warning "$work/gdb" | grep -v 'auto-load\|safe-path'; then fail "gdb warns"; fi
	;;
places)
	crash /nonexistent/core halt
	says "^ring3: --core /nonexistent/core: No such file or directory: there will be no core"
	says "^ring3: no core in /nonexistent/core: No such file or directory; name a file that can be written"
	crash /dev/full halt
	says "^ring3: no core in /dev/full: Invalid argument; name a file of its own"
	mkfifo "$work/pipe"
	crash "$work/pipe" halt
	says "^ring3: no core in $work/pipe: Invalid argument; name a file of its own"
	cp "$kernel" "$work/kernel"
	kernel=$work/kernel
	crash "$work/kernel" halt
	says "^ring3: no core in $work/kernel: it is the kernel, or a module of the guest; name a file of its own"
	echo precious >"$work/target"
	ln -s "$work/target" "$work/link"
	crash "$work/link" halt
	says "^ring3: no core in $work/link: it is a link, which another user may have put there; name a file of its own"
	[ "$(cat "$work/target")" = precious ] || fail "the file behind the link was written to"
	# RAM is a file too: the limit admits that one alone. dash counts in blocks of 512 bytes.
	(
		ulimit -f 32768
		crash "$work/large" halt -m 16M
	) || exit 1
	says "^ring3: no core in $work/large: File too large; raise 'ulimit -f'"
	[ ! -e "$work/large" ] || fail "a part of a core was left"
	crash "$work/good" halt -m 16M
	says "^ring3: core in $work/good; look at it with: gdb $work/kernel $work/good"
	[ "$(stat -c %s "$work/good")" -ge 16777216 ] || fail "the core is too short"
	[ "$(stat -c %a "$work/good")" = 600 ] || fail "others can read the guest's memory"
	chmod 640 "$work/good"
	crash "$work/good" halt -m 16M
	[ "$(stat -c %a "$work/good")" = 640 ] || fail "the mode of the file before was lost"
	;;
esac
