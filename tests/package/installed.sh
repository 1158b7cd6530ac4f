#!/bin/bash
# Makes the package, unpacks it over this system's files in a root of its own, and does there what README shows:
#   installed.sh BUILD
# Skipped (77) where cpack, dpkg-deb or an overlay in a mount namespace is missing.
set -u
build=$1

if [ "${2-}" = inside ]; then
	# In the new root: $3 is the directory to work in.
	cd "$3" || exit 1
	set -e
	ring3 --version --verbose | grep -q 'libseccomp .*LGPL-2.1-only'
	ring3 run /usr/share/ring3/guests/hello.elf | grep -q '^hello'
	ring3 doctor >/dev/null
	ring3 classify --host-only | grep -qi popf
	ring3 run -a pv=off /usr/share/ring3/lessons/02-popf.elf --engine hybrid >/dev/null
	[ -f /usr/share/man/man1/ring3-run.1.gz ] || [ -f /usr/share/man/man1/ring3-run.1 ]
	for file in copyright ring3.spdx licences/libseccomp README.md docs/tinix.md docs/lessons/01-traps.md \
		examples/popek-goldberg/01-traps.c; do
		[ -s /usr/share/doc/ring3/$file ] || { echo "no $file"; exit 1; }
	done
	mkdir empty
	for page in 01-traps 09-hybrid 12-shadow; do # all of them: texts.sh
		bash page.sh /usr/share/doc/ring3 empty /usr/share/doc/ring3/docs/lessons/$page.md
	done
	[ ! -e /usr/include/pvguest ] # headers lie below include/ring3, once
	if busybox=$(command -v busybox) && command -v cpio >/dev/null; then
		/usr/share/ring3/tinix/mkinitramfs.sh "$busybox" /usr/share/ring3/tinix/rootfs tinix.cpio
		ring3 run -m 256M --module tinix.cpio -a 'init=/bin/sh -- -c "echo booted; exit 7"' \
			/usr/share/ring3/guests/tinix.elf >tinix.out && exit 1
		grep -q booted tinix.out
	fi
	if command -v cc >/dev/null && command -v cmake >/dev/null; then
		printf '#include <pvguest/pvguest.h>\nint main(const char *cmdline)\n{\n\tpvg_printf("hello, %%s\\n", cmdline);\n\treturn 0;\n}\n' >main.c
		printf 'cmake_minimum_required(VERSION 3.22)\nproject(mine C)\nfind_package(pvguest REQUIRED)\npvguest_add_executable(mykernel main.c)\n' >CMakeLists.txt
		cmake -S . -B out >log 2>&1 && cmake --build out >>log 2>&1 || { cat log; exit 1; }
		ring3 run --append world out/mykernel.elf | grep -qx 'hello, world'
	fi
	exit 0
fi

command -v cpack dpkg-deb unshare >/dev/null || { echo "cpack, dpkg-deb or unshare is missing"; exit 77; }
# Root needs no user namespace for it, which a chroot may not make.
namespace=-rm
[ "$(id -u)" -ne 0 ] || namespace=-m
unshare $namespace true || { echo "no mount namespace can be had here"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/package" "$work/upper" "$work/root" "$work/home"

(cd "$build" && cpack -G DEB -B "$work/deb") >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
dpkg-deb -x "$work"/deb/*.deb "$work/package" || exit 1
dpkg-deb -f "$work"/deb/*.deb Package Version Depends
cp "$0" "$work/home/installed.sh"
cp "$(dirname "$0")/../lessons/page.sh" "$work/home/page.sh"

# The package's files above the system's, and nothing of this build.
unshare $namespace sh -c '
	mount -t tmpfs none "$1/root" &&
	mkdir -p "$1/root/usr" "$1/root/tmp" "$1/root/dev" "$1/root/proc" "$1/root/etc" "$1/root/home" "$1/root/run" &&
	mount -t overlay overlay -o lowerdir="$1/package/usr:/usr" "$1/root/usr" &&
	mount --rbind /dev "$1/root/dev" && mount --rbind /proc "$1/root/proc" && mount --rbind /etc "$1/root/etc" &&
	mount --bind "$1/home" "$1/root/home" || exit 77
	for top in bin sbin lib lib32 lib64; do
		[ ! -L /$top ] || ln -s "$(readlink /$top)" "$1/root/$top"
		[ -L /$top ] || [ ! -d /$top ] || { mkdir "$1/root/$top" && mount --rbind /$top "$1/root/$top"; } || exit 77
	done
	exec chroot "$1/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home bash -x /home/installed.sh none inside /home
' sh "$work" >"$work/log" 2>&1
status=$?
[ $status -eq 0 ] || tail -n 40 "$work/log"
[ $status -ne 77 ] || echo "no mount namespace with an overlay can be had here"
exit $status
