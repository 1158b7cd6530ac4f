#!/bin/sh
# Starts without an environment, where the stack's end lies close, and without address randomization:
#   surroundings.sh RING3 HELLO TRANSPORT COUNT
set -u
ring3=$1 hello=$2 transport=$3 count=$4

# start COMMAND...: a start that must work
start() {
	said=$("$@" "$ring3" run --transport "$transport" "$hello" 2>&1 </dev/null)
	status=$?
	case $status$said in
	0*hello*) ;;
	*)
		echo "FAIL: $*: status $status: $said"
		exit 1
		;;
	esac
}

while [ "$count" -gt 0 ]; do
	start env -i
	count=$((count - 1))
done
if setarch -R true 2>/dev/null; then
	start setarch -R
	start env -i setarch -R
fi
