#!/bin/sh
# Disks from the command line to the file:  disk.sh RING3 GUEST ENGINE
set -eu
ring3=$1 guest=$2 engine=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

run()
{
	words=$1
	shift
	"$ring3" run --tap --engine "$engine" --append "pv=off $words" "$@" "$guest" >"$dir/out" 2>&1 </dev/null || {
		echo "FAIL: $words, $*"
		cat "$dir/out"
		exit 1
	}
}
refused()
{
	said=$1
	shift
	if "$ring3" run "$@" "$guest" >"$dir/out" 2>&1 </dev/null || ! grep -q "$said" "$dir/out"; then
		echo "FAIL: not refused with '$said': $*"
		cat "$dir/out"
		exit 1
	fi
}

truncate -s 1M "$dir/disk"
cp "$dir/disk" "$dir/before"
run "word=0 write=77" --disk "$dir/disk,overlay=$dir/over"
run "word=77 write=78" --disk "$dir/disk,overlay=$dir/over"
run "word=0" --disk "$dir/disk,readonly"
cmp "$dir/disk" "$dir/before"
run "word=0 write=99" -drive "file=$dir/disk,format=raw"
run "word=99" -hda "$dir/disk"
refused "belongs to another file" --disk "$dir/disk,overlay=$dir/over"
refused "No such file" --disk "$dir/none"
refused "no regular file" --disk /dev/null
echo "ok"
