#!/bin/bash
# Builds ring3 in a root of another Debian release and runs there its unit tests and guest tests:
#   debian.sh SOURCE SUITE [ctest option...]
# R3_DEBIAN_ROOT names a directory to keep the root in; else it is made anew, and removed. Skipped (77) without root's
# rights, debootstrap, or a mirror.
set -u
source=$1 suite=$2
shift 2
mirror=${R3_DEBIAN_MIRROR:-http://deb.debian.org/debian}
export DEBIAN_FRONTEND=noninteractive

skip() {
	echo "skipped: $*"
	exit 77
}
[ "$(id -u)" -eq 0 ] || skip "debootstrap wants root"
command -v debootstrap unshare >/dev/null || skip "debootstrap is missing"

root=${R3_DEBIAN_ROOT:-}
if [ -z "$root" ]; then
	root=$(mktemp -d /var/tmp/ring3-debian.XXXXXX) || exit 1
	trap 'rm -rf "$root"' EXIT
fi
if [ ! -x "$root/usr/bin/apt-get" ]; then
	timeout 900 debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
		tail -n 3 "$root.log"
		rm -f "$root.log"
		skip "no root of $suite from $mirror"
	}
	rm -f "$root.log"
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
grep -ls -i proxy /etc/apt/apt.conf.d/* | xargs -r cp -t "$root/etc/apt/apt.conf.d/"

# Everything mounted is mounted for these commands alone, and every process ends with them.
inside() {
	unshare -mpf --kill-child sh -c 'mount --make-rprivate / && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
		exec chroot "$0" "$@"' "$root" "$@"
}

packages=$(awk '$1 == "build" { print $2 }' "$source/cmake/packages.txt")
# shellcheck disable=SC2086
inside sh -c "apt-get -q update && apt-get -qy install --no-install-recommends $(echo $packages) gdb" >"$root/install.log" 2>&1 || {
	tail -n 3 "$root/install.log"
	skip "the packages cannot be had"
}
mkdir -p "$root/ring3/source"
tar -C "$source" --exclude=./build --exclude='./build-*' --exclude=./.git -cf - . | tar -C "$root/ring3/source" -xf - || exit 1
inside sh -c 'cd /ring3 && cmake -S source -B build -G Ninja && ninja -C build' >"$root/build.log" 2>&1 || {
	tail -n 40 "$root/build.log"
	exit 1
}
[ $# -gt 0 ] || set -- -L 'unit|guest'
inside ctest --test-dir /ring3/build -j2 --output-on-failure --repeat until-pass:2 --timeout 300 "$@"
