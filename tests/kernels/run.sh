#!/bin/sh
# One of Debian's kernels, unmodified:  run.sh DIRECTORY PACKAGE FILE [step...] -- RING3 run [option...]
# The steps are those of console.py; status 77: the kernel cannot be had here.
set -u
here=$(dirname "$0")
kernel=$("$here/kernel.sh" "$1" "$2" "$3") || {
	echo "skipped: $2 cannot be had here"
	exit 77
}
shift 3
exec python3 "$here/console.py" "$@" "$kernel"
