#!/bin/bash
# The same sources in two directories, at different times and with different modes, give the same bytes:
#   reproducible.sh SOURCE C_COMPILER            guest library, guests, the list of components
#   reproducible.sh SOURCE C_COMPILER package    all that is installed, and the package of it, as it is made by default
set -u
source=$1 compiler=$2 what=${3-}
unset CMAKE_C_COMPILER_LAUNCHER SOURCE_DATE_EPOCH
export CCACHE_DISABLE=1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dirs="a much/longer/b"

fail() {
	echo "FAIL: $*"
	tail -n 40 "$work/log"
	exit 1
}

compare() {
	cmp "$work/a/$1" "$work/much/longer/b/$1" || bad=1
	! grep -qF "$work" "$work/a/$1" || { echo "$1 names the directory it was made in"; bad=1; }
}

if [ "$what" = package ]; then
	command -v cpack dpkg-deb >/dev/null || { echo "cpack or dpkg-deb is missing"; exit 77; }
	# Tests are there, since guests of theirs are installed, but not built.
	options="-DCMAKE_SKIP_INSTALL_ALL_DEPENDENCY=ON" targets=product
else
	options="-DBUILD_TESTING=OFF" targets="hello crash pvguest"
fi
mask=022
for dir in $dirs; do
	umask $mask
	mkdir -p "$work/$dir"
	tar -C "$source" --exclude=./build --exclude='./build-*' --exclude=./.git -cf - . | tar -C "$work/$dir" -xf - || exit 1
	[ $mask = 022 ] || chmod -R go= "$work/$dir"
	cmake -S "$work/$dir" -B "$work/$dir/out" -G Ninja $options -DCMAKE_C_COMPILER="$compiler" >"$work/log" 2>&1 ||
		fail "cannot be configured in $dir"
	# shellcheck disable=SC2086
	ninja -C "$work/$dir/out" -j2 $targets >"$work/log" 2>&1 || fail "cannot be built in $dir"
	if [ "$what" = package ]; then
		umask 022 # the one thing of who makes it that gets in: the mode of the archive's members
		(cd "$work/$dir/out" && cpack -G DEB) >"$work/log" 2>&1 || fail "cannot be packaged in $dir"
		dpkg-deb -x "$work/$dir"/out/*.deb "$work/$dir/root" || fail "is no package"
		mv "$work/$dir"/out/*.deb "$work/$dir/deb"
	fi
	mask=077
done

if [ "$what" = package ]; then
	compare deb
	[ -x "$work/a/root/usr/bin/ring3" ] || fail "the package has no program"
	files=$(cd "$work/a/root" && find . -type f)
	for file in $files; do
		compare "root/$file"
	done
	[ -z "$(find "$work/a/root" \( -type d ! -perm 755 \) -o \( -type f ! -perm -444 \))" ] || fail "not all may read it"
else
	for file in components.def examples/hello.elf examples/crash.elf pvguest/libpvguest.a; do
		compare "out/$file"
	done
fi
[ -z "${bad-}" ] || fail "two directories, two results"
