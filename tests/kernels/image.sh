#!/bin/sh
# The image of a disk in a kernel's place:  image.sh RING3 IMAGE  (a floppy of 1.44M). With SeaBIOS installed it boots;
# without, what is said tells what to do.
set -u
ring3=$1 image=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
	echo "FAIL: $*"
	cat "$dir/out" "$dir/err"
	exit 1
}
# boots WORD...: the guest says that all is well, and the notice names the option that would do the same.
boots() {
	"$ring3" run --timeout 50 "$@" >"$dir/out" 2>"$dir/err" </dev/null || fail "status $?: $*"
	grep -q "floppy: reset" "$dir/out" || fail "it did not boot: $*"
}
cp "$image" "$dir/floppy.img"
if [ ! -r /usr/share/seabios/bios-256k.bin ]; then
	"$ring3" run "$dir/floppy.img" >"$dir/out" 2>"$dir/err" </dev/null
	[ $? = 126 ] && grep -q "is the image of a disk, which wants a PC's firmware: install seabios" "$dir/err" ||
		fail "not refused"
	"$ring3" run -fda "$dir/floppy.img" >"$dir/out" 2>"$dir/err" </dev/null
	[ $? = 125 ] && grep -q "no firmware to boot the disk with: install seabios" "$dir/err" || fail "not refused"
	exit 0
fi
boots "$dir/floppy.img"
grep -q "booting it with --bios .* --floppy" "$dir/err" || fail "it does not say how it boots"
boots -fda "$dir/floppy.img"
# A disk beside it does not boot; firmware tries it first, unless it is told otherwise.
truncate -s 4M "$dir/disk.img"
boots "$dir/floppy.img" --disk "$dir/disk.img"
boots --boot a -fda "$dir/floppy.img" --disk "$dir/disk.img"
grep -q "Booting from Hard Disk" "$dir/out" && fail "the disk was tried first"
boots -fda "$dir/floppy.img" --disk "$dir/disk.img"
grep -q "Booting from Hard Disk" "$dir/out" || fail "the disk was not tried first"
# What it has written is in the file, unless that may not be.
cmp -s "$image" "$dir/floppy.img" && fail "nothing was written"
cp "$image" "$dir/floppy.img"
"$ring3" run --timeout 50 -fda "$dir/floppy.img,readonly" >"$dir/out" 2>"$dir/err" </dev/null
grep -q "floppy: not as it should be" "$dir/out" || fail "a write was not refused"
cmp -s "$image" "$dir/floppy.img" || fail "a readonly image was written"
truncate -s 1700K "$dir/floppy.img"
"$ring3" run -fda "$dir/floppy.img" >"$dir/out" 2>"$dir/err" </dev/null
[ $? = 125 ] && grep -q "a floppy disk has 360, 720, 1200, 1440 or 2880 KiB" "$dir/err" || fail "a bad size was not refused"
echo "ok"
