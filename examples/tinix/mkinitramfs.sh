#!/bin/sh
# Makes tinix's initramfs from a static busybox and a directory of further files:
#   mkinitramfs.sh BUSYBOX ROOTFS_DIRECTORY OUTPUT
# Every applet becomes a name of the one program.
set -eu
busybox=$1 rootfs=$2 output=$3
if readelf -l "$busybox" | grep -q INTERP; then
	echo "$busybox needs shared libraries: install busybox-static" >&2
	exit 1
fi
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree/bin" "$tree/sbin" "$tree/usr/bin" "$tree/usr/sbin" "$tree/dev" "$tree/proc" "$tree/root" "$tree/tmp"
chmod 1777 "$tree/tmp"
cp "$busybox" "$tree/bin/busybox"
chmod 755 "$tree/bin/busybox"
for applet in $("$busybox" --list-full); do
	[ ! -e "$rootfs/$applet" ] || continue # ours, and not to be written through a link to busybox
	case $applet in
	bin/busybox) ;;
	bin/* | sbin/* | usr/bin/* | usr/sbin/*) ln "$tree/bin/busybox" "$tree/$applet" ;;
	esac
done
cp -R "$rootfs/." "$tree/"
chmod -R u+w "$tree" # the sources may be read-only
# Sorted and without times, so that equal trees make equal archives.
find "$tree" -exec touch -h -d @0 {} +
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet --reproducible -R 0:0 -o -H newc) >"$output.new"
mv "$output.new" "$output"
