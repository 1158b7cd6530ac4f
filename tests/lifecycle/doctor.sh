#!/bin/bash
# The doctor's answer and a start of a guest agree, whatever the host withholds:  doctor.sh RING3 HELLO DENY
set -u
ring3=$1 hello=$2 deny=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
exec 3>&- 4>&- 5>&- 6>&- # whoever started this may have left some open

fail() {
	echo "FAIL: $*"
	cat "$work/run" "$work/doctor"
	bad=1
}

# The output goes through a pipe, which no limit of files' sizes holds for.
# agree WHAT REMEDY COMMAND...: with COMMAND in front, which withholds something. REMEDY, a pattern: what the doctor
# advises if no guest starts.
agree() {
	local what=$1 remedy=$2 run doctor verdict
	shift 2
	"$@" "$ring3" run "$hello" 2>&1 </dev/null | cat >"$work/run"
	run=${PIPESTATUS[0]}
	"$@" "$ring3" doctor 2>&1 </dev/null | cat >"$work/doctor"
	doctor=${PIPESTATUS[0]}
	[ $run -eq 0 ] && verdict=0 || verdict=125
	[ $doctor -eq $verdict ] || fail "$what: run $run, doctor $doctor"
	[ $verdict -eq 0 ] || grep -A1 -E '^missing +start ' "$work/doctor" | grep -qE "remedy: .*$remedy" ||
		fail "$what: no remedy with '$remedy'"
	! grep -q "Guests cannot run" "$work/doctor" || [ $verdict -ne 0 ] || fail "$what: the verdict is wrong"
	seen="$seen $verdict"
}

# both WHAT: of the last ones some did start and some did not, or they would say nothing.
both() {
	case $seen in
	*125*\ 0* | *\ 0*125*) ;;
	*) fail "$1: all the same:$seen" ;;
	esac
	seen=
}
seen=

agree "as it is" . env
[ "$seen" = " 0" ] || fail "no guest starts here at all"
seen=
for files in 5 6 7 8 9 10 11 12 16; do
	agree "ulimit -n $files" "ulimit -n" prlimit --nofile=$files
done
both "ulimit -n"
for size in 0 4096 33554432 67108864 200000000 unlimited; do
	agree "ulimit -f, $size bytes" "ulimit -f" prlimit --fsize=$size
done
both "ulimit -f"
for space in 40000000 100000000 600000000000 2000000000000 20000000000000 unlimited; do
	agree "ulimit -v, $space bytes" "ulimit -v" prlimit --as=$space
done
both "ulimit -v"
# Root has no limit of processes; another user's must be nobody else's.
if [ "$(id -u)" -eq 0 ]; then
	cp "$ring3" "$work/ring3" && cp "$hello" "$work/hello.elf" && chmod -R a+rX "$work" || exit 1
	for tasks in 1 2 3 4 5 6 8; do
		(bad=0 seen= && ring3=$work/ring3 hello=$work/hello.elf &&
			agree "ulimit -u $tasks" "ulimit -u" prlimit --nproc=$tasks setpriv --reuid=1234567 --clear-groups &&
			exit $((bad * 2 + ${seen# } / 125)))
		case $? in
		0) seen="$seen 0" ;;
		1) seen="$seen 125" ;;
		*) bad=1 ;;
		esac
	done
	both "ulimit -u"
fi
# Every call that a start makes, or might make, but those without which no program starts or ends.
for call in ptrace memfd_create userfaultfd prlimit64 seccomp prctl rseq clone clone3 fork,vfork wait4 waitid socket bind \
	mkdir unlink pipe2 eventfd2 timer_create timer_settime sched_setaffinity sched_getaffinity sched_yield \
	setpgid sigaltstack ftruncate fallocate fcntl madvise futex getpid getppid lseek \
	close_range getrandom rt_sigprocmask rt_sigaction unshare rt_sigtimedwait pidfd_open process_vm_readv; do
	agree "without $call" . timeout -k 2 10 "$deny" 1 $call # EPERM
done
both "calls"
exit $bad
