#!/bin/sh
# A kernel packed with gzip runs, and what cannot be unpacked is refused:  packed.sh R3_WATCH RING3 IMAGE
set -u
watch=$1 ring3=$2 image=$3
work=$(mktemp -d /tmp/ring3-packed.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT

# refused FILE REGEX
refused() {
	"$watch" -s 126 -l 1 -O -e "^ring3: $work/$1: .*$2" -- "$ring3" run "$work/$1" || exit 1
}

gzip -c "$image" >"$work/whole.gz" || exit 1
"$ring3" run "$image" >"$work/plain" && "$ring3" run "$work/whole.gz" >"$work/unpacked" || exit 1
cmp "$work/plain" "$work/unpacked" || exit 1
head -c 3000 "$work/whole.gz" >"$work/cut.gz"
refused cut.gz "ends in the midst of what gzip packed"
# Behind gzip's ten bytes begins a block of the kind that there is not.
{ printf 'no kernel' | gzip -n | head -c 10 && printf '\377\377\377\377'; } >"$work/damaged.gz"
refused damaged.gz "packed with gzip, and damaged"
printf 'no kernel' | gzip >"$work/other.gz"
refused other.gz "too few for an ELF file"
printf '' | gzip >"$work/empty.gz"
refused empty.gz "is empty"
head -c 257M /dev/zero | gzip -1 >"$work/large.gz"
refused large.gz "more than 256 MiB when unpacked"
