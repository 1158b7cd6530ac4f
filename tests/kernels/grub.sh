#!/bin/sh
# A disk with Debian's GRUB, which finds a Multiboot kernel in its own memory disk and boots it:
#   grub.sh DIRECTORY KERNEL [step...] -- RING3 run [option...]
set -u
here=$(dirname "$0") directory=$1 kernel=$2
shift 2
boot=$("$here/kernel.sh" "$directory" grub-pc-bin usr/lib/grub/i386-pc/boot.img) &&
	make=$("$here/kernel.sh" "$directory" grub-common usr/bin/grub-mkimage) && "$make" --version >/dev/null 2>&1 || {
	echo "skipped: GRUB cannot be had here"
	exit 77
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cp "$kernel" "$work/kernel" && tar -C "$work" -cf "$work/memory.tar" kernel &&
	printf 'echo "GRUB was here"\nmultiboot (memdisk)/kernel first second\nboot\n' >"$work/grub.cfg" &&
	"$make" -d "$(dirname "$boot")" -O i386-pc -p '(memdisk)' -m "$work/memory.tar" -c "$work/grub.cfg" \
		-o "$work/core.img" biosdisk memdisk tar multiboot echo boot &&
	cat "$boot" "$work/core.img" >"$work/disk.img" && truncate -s 2M "$work/disk.img" || exit 1
"$here/boot.sh" "$directory" --disk - "$work/disk.img" "$@"
