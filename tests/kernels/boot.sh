#!/bin/sh
# A disk or CD that Debian's SeaBIOS boots:  boot.sh DIRECTORY DRIVE PACKAGE FILE [step...] -- RING3 run [option...]
# DRIVE is --disk or --cdrom; FILE of PACKAGE is what is in it; PACKAGE "-": FILE is one that lies there already. The steps are those of console.py; status 77: something cannot be had here.
set -u
here=$(dirname "$0") directory=$1 drive=$2 package=$3 disk=$4
shift 4
bios=$("$here/kernel.sh" "$directory" seabios usr/share/seabios/bios-256k.bin) || {
	echo "skipped: seabios cannot be had here"
	exit 77
}
[ "$package" = - ] || disk=$("$here/kernel.sh" "$directory" "$package" "$disk") || {
	echo "skipped: $package cannot be had here"
	exit 77
}
exec python3 "$here/console.py" "$@" --bios "$bios" "$drive" "$disk,readonly"
