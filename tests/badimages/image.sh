#!/bin/sh
# One bad image through the real binary:  image.sh R3_WATCH RING3 R3_BAD_IMAGE NAME REGEX [option of ring3 run...]
# One line on stderr that matches, nothing on stdout, status 126.
set -u
watch=$1 ring3=$2 maker=$3 name=$4 regex=$5
shift 5
# The maker renames from /tmp.
work=$(mktemp -d /tmp/ring3-bad.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
"$maker" "$name" "$work/image.elf" || exit 1
"$watch" -s 126 -l 1 -O -e "^ring3: $work/image.elf: .*$regex" -- "$ring3" run "$@" "$work/image.elf"
