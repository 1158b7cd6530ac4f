#!/bin/sh
# Linux's own drivers of the IDE controller read and write a disk, and read a CD:  disk.sh DIRECTORY INITRAMFS RING3 run [option...]
# Its modules are those of the kernel's package. Status 77: kernel or modules cannot be had here.
set -eu
here=$(dirname "$0")
directory=$1 initramfs=$2
shift 2
skip() {
	echo "skipped: $1 of linux-image-cloud-amd64 cannot be had here"
	exit 77
}
kernel=$("$here/kernel.sh" "$directory" linux-image-cloud-amd64 "boot/vmlinuz-*-cloud-amd64") || skip "the kernel"
drivers=lib/modules/${kernel##*/vmlinuz-}/kernel/drivers
piix=$("$here/kernel.sh" "$directory/modules" linux-image-cloud-amd64 "$drivers/ata/ata_piix.ko") || skip "ata_piix.ko"
drivers=${piix%/ata/ata_piix.ko}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
for module in scsi/scsi_common scsi/scsi_mod scsi/sd_mod ata/libata ata/ata_piix cdrom/cdrom scsi/sr_mod; do
	cp "$drivers/$module.ko" "$work/root" || skip "$module.ko"
done
(cd "$work/root" && find . | cpio --quiet -o -H newc) | cat "$initramfs" - >"$work/initramfs"
head -c 4M /dev/urandom >"$work/disk"
head -c 1M /dev/urandom >"$work/disc"
sum=$(sha1sum <"$work/disk" | cut -d ' ' -f 1) sum_of_disc=$(sha1sum <"$work/disc" | cut -d ' ' -f 1)
python3 "$here/console.py" --limit 250 expect "shell ready" \
	send "dmesg -n 7; for m in scsi_common scsi_mod sd_mod libata ata_piix; do insmod /\$m.ko; done" \
	expect "ata1.00: ATA-6: RING3 DISK" expect "Attached SCSI disk" \
	send "sha1sum /dev/sda" expect "$sum" \
	send "for m in cdrom sr_mod; do insmod /\$m.ko; done" expect "sr0. scsi3-mmc drive" \
	send "sha1sum /dev/sr0" expect "$sum_of_disc" \
	send "echo written by the guest | dd of=/dev/sda bs=512 seek=9 conv=fsync" expect "0.1 records out" \
	send "poweroff -f" expect "Power down" -- \
	"$@" --disk "$work/disk" --cdrom "$work/disc" -initrd "$work/initramfs" -append "console=ttyS0" -kernel "$kernel"
said=$(dd if="$work/disk" bs=512 skip=9 count=1 2>/dev/null | head -n 1)
[ "$said" = "written by the guest" ] || {
	echo "FAIL: the disk has '$said'"
	exit 1
}
