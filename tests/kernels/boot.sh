#!/bin/sh
# A disk that Debian's SeaBIOS boots:  boot.sh DIRECTORY PACKAGE FILE [step...] -- RING3 run [option...]
# FILE of PACKAGE is the disk; PACKAGE "-": FILE is one that lies there already. The steps are those of console.py; status 77: something cannot be had here.
set -u
here=$(dirname "$0") directory=$1 package=$2 disk=$3
shift 3
bios=$("$here/kernel.sh" "$directory" seabios usr/share/seabios/bios-256k.bin) || {
	echo "skipped: seabios cannot be had here"
	exit 77
}
[ "$package" = - ] || disk=$("$here/kernel.sh" "$directory" "$package" "$disk") || {
	echo "skipped: $package cannot be had here"
	exit 77
}
exec python3 "$here/console.py" "$@" --bios "$bios" --disk "$disk,readonly"
