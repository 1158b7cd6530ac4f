#!/bin/sh
# Finds a kernel of Debian's without installing anything:  kernel.sh DIRECTORY PACKAGE FILE
# Prints the path of FILE, a pattern below the package's root: as installed, else out of the package, which is fetched and
# unpacked into DIRECTORY once. PACKAGE:i386 is another architecture's, whose lists are kept in DIRECTORY too. Status 77
# if it cannot be had.
set -u
mkdir -p "$1" && directory=$(cd "$1" && pwd) || exit 77
package=$2 file=$3

# found ROOT: prints the file below it.
found() {
	for candidate in "$1"/$file; do
		[ -r "$candidate" ] || continue
		echo "$candidate"
		return 0
	done
	return 1
}

# apt, for the package's architecture.
apt() {
	command=$1
	shift
	case $package in
	*:i386) "$command" -o APT::Architecture=i386 -o APT::Architectures::=i386 -o "Dir::State::Lists=$lists" \
		-o "Dir::Cache=$lists" "$@" ;;
	*) "$command" "$@" ;;
	esac
}

case $package in
*:i386) ;;
*) found "" && exit 0 ;;
esac
unpacked=$directory/$(echo "$package" | tr : -)
found "$unpacked" && exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 77
exec 9>"$directory/lock" && flock 9
found "$unpacked" && exit 0
lists=$directory/apt-i386
name=${package%:i386}
mkdir -p "$unpacked.new" && cd "$unpacked.new" || exit 77
if [ "$name" != "$package" ] && [ ! -d "$lists/archives" ]; then
	mkdir -p "$lists/partial" "$lists/archives/partial"
	apt apt-get -qq update >/dev/null 2>&1
fi
# A metapackage has its kernel in what it depends on.
real=$(apt apt-cache depends --no-recommends --no-suggests "$name" 2>/dev/null | sed -n 's/^ *Depends: \(\(linux-image\|xen-hypervisor\)-[0-9].*\)/\1/p' | head -n 1)
apt apt-get -o Acquire::http::Timeout=60 -qq download "${real:-$name}" >/dev/null 2>&1 || {
	rm -rf "$unpacked.new"
	exit 77
}
for deb in ./*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x "./${file%%/*}" || exit 77
	rm -f "$deb"
done
mv "$unpacked.new" "$unpacked" 2>/dev/null || rm -rf "$unpacked.new"
found "$unpacked" || exit 77
