#!/bin/sh
# A kernel of Debian's on a terminal:  screen.sh DIRECTORY PACKAGE FILE TERMINAL STEPS RING3 run [option...]
# The steps are those of tests/tinix/terminal.c; status 77: the kernel cannot be had here.
set -u
kernel=$("$(dirname "$0")/kernel.sh" "$1" "$2" "$3") || {
	echo "skipped: $2 cannot be had here"
	exit 77
}
shift 3
exec "$@" "$kernel"
