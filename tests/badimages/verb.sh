#!/bin/sh
# Wrong words, and the help, of one verb:  verb.sh RING3 VERB KERNEL
set -u
ring3=$1 verb=$2 kernel=$3
bad=0

# wrong WORD...: status 125, nothing on stdout, two lines on stderr.
wrong() {
	out=$("$ring3" "$verb" "$@" 2>/dev/null </dev/null)
	err=$("$ring3" "$verb" "$@" 2>&1 >/dev/null </dev/null)
	status=$?
	case $status/$out/$(printf '%s\n' "$err" | wc -l)/$err in
	"125//2/ring3: "*"
ring3: 'ring3 $verb --help' lists the options") ;;
	*)
		echo "FAIL: ring3 $verb $*: status $status, stdout '$out', stderr:
$err"
		bad=1
		;;
	esac
}

wrong --no-such-option "$kernel"
wrong --hel=x "$kernel"
wrong "$kernel" /nowhere/1 /nowhere/2 /nowhere/3
help=$("$ring3" "$verb" --help 2>&1) && [ "$help" = "$("$ring3" help "$verb" 2>&1)" ] || {
	echo "FAIL: $verb --help and help $verb differ"
	bad=1
}
case $help in
"Usage: ring3 $verb "*) ;;
*)
	echo "FAIL: $help"
	bad=1
	;;
esac
exit $bad
