#!/bin/sh
# Finds a kernel of Debian's without installing anything:  kernel.sh DIRECTORY PACKAGE FILE
# Prints the path of FILE, a pattern below the package's root: as installed, else out of the package, which is fetched and
# unpacked into DIRECTORY once. Status 77 if it cannot be had.
set -u
directory=$1 package=$2 file=$3

found() {
	for candidate in "$1"/$file; do
		[ -r "$candidate" ] && echo "$candidate" && return 0
	done
	return 1
}

found "" && exit 0
found "$directory/$package" && exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 77
mkdir -p "$directory/$package.new" && cd "$directory/$package.new" || exit 77
# A metapackage has its kernel in what it depends on.
real=$(apt-cache depends --no-recommends --no-suggests "$package" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
timeout 120 apt-get -qq download "${real:-$package}" >/dev/null 2>&1 || {
	rm -rf "$directory/$package.new"
	exit 77
}
for deb in ./*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x ./boot || exit 77
	rm -f "$deb"
done
mv "$directory/$package.new" "$directory/$package" 2>/dev/null || rm -rf "$directory/$package.new"
found "$directory/$package" || exit 77
