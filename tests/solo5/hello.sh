#!/bin/sh
# Output, options and the tender's command line:  hello.sh RING3 ENGINE UNIKERNEL UNIKERNEL_DISK
set -eu
ring3=$1 engine=$2 unikernel=$3 with_disk=$4

[ "$("$ring3" run --engine "$engine" -a 'Solo5 with $x' "$unikernel")" = 'Hello, Solo5 with $x' ]
RING3=$ring3
export RING3
tender=$(dirname "$0")/solo5-hvt
[ "$("$tender" --mem=64 -- "$unikernel" two words)" = "Hello, two words" ]
status=0
"$tender" "$unikernel" abort 2>/dev/null || status=$?
[ $status = 255 ]

refused() {
	wanted=$1
	shift
	status=0
	said=$("$ring3" run --engine "$engine" "$@" 2>&1) || status=$?
	[ $status = 126 ] || [ $status = 125 ]
	printf '%s\n' "$said" | grep -q -- "$wanted"
}
refused "wants a block device 'disk'" "$with_disk"
refused "has 0 block devices" --block other=/dev/null "$unikernel"
refused "NAME=FILE" --block disk "$with_disk"
refused "has a file already" --block d=/a --block d=/b "$with_disk"
refused "name a device first" --block-sector-size:d=512 "$with_disk"
refused "power of two" --block:disk=/dev/null --block-sector-size:disk=521 "$with_disk"
refused "4 GiB of RAM at most" -m 4098 "$unikernel"
