#!/bin/bash
# Notes that are not what they should be:  damaged.sh RING3 UNIKERNEL UNIKERNEL_DISK
set -eu
ring3=$1 unikernel=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The type of a note, which its name and its descriptor follow.
offset() { grep -abo "$1" "$unikernel" | head -n 1 | cut -d: -f1; }
abi=$(offset ABI1) manifest=$(offset MFT1)

# refused REGEX OFFSET BYTES: with these bytes there.
refused() {
	cp "$unikernel" "$work/image"
	printf "$3" | dd of="$work/image" bs=1 seek="$2" conv=notrunc status=none
	status=0
	said=$("$ring3" run "$work/image" 2>&1 </dev/null) || status=$?
	[ $status = 126 ] && [ "$(printf '%s\n' "$said" | wc -l)" = 1 ] && printf '%s\n' "$said" | grep -q -- "$1" && return
	echo "status $status: $said (wanted: $1)"
	exit 1
}
refused "another target of Solo5 (2)" $((abi + 12)) '\x02'
refused "version 3 of Solo5" $((abi + 16)) '\x03'
refused "no manifest" "$manifest" 'XXXX'
for bytes in '\x00\x00\x00\x00' '\x03\x00\x00\x00' '\xff\xff\xff\x7f' '\x80\x02\x00\x00'; do
	refused "manifest is damaged\|no manifest" $((manifest - 4)) "$bytes" # size of the descriptor
done
refused "manifest is damaged" $((manifest + 16)) '\x02'             # version
refused "manifest is damaged" $((manifest + 20)) '\x00'             # entries
refused "manifest is damaged" $((manifest + 20)) '\xff\xff\xff\xff'
refused "manifest is damaged" $((manifest + 24)) "$(printf 'x%.0s' $(seq 68))" # a name without an end
refused "manifest is damaged" $((manifest + 92)) '\x01\x00\x00\x00' # the first entry is reserved
refused "no manifest\|damaged\|truncated\|ELF" 4 '\x01'              # 32-bit

# The name of a device is shown to people.
unikernel=$3
manifest=$(offset MFT1)
refused "manifest is damaged" $((manifest + 24 + 104)) '\x1b[2J'
refused "manifest is damaged" $((manifest + 24 + 104)) '\x00'
