#!/bin/bash
# The same sources in two directories, at different times and with different modes, give the same bytes:
#   reproducible.sh SOURCE C_COMPILER            guest library, guests, the list of components
#   reproducible.sh SOURCE C_COMPILER package BUILD
#                                                all that is installed, and the package of it, as it is made by default;
#                                                one of the two directories is BUILD, where all is built already
set -u
source=$1 compiler=$2 what=${3-} ready=${4-}
unset CMAKE_C_COMPILER_LAUNCHER SOURCE_DATE_EPOCH
export CCACHE_DISABLE=1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dirs="a much/longer/b"
first=$work
if [ -n "$ready" ]; then
	first=$ready
	export SOURCE_DATE_EPOCH=0 # the other one is no repository, which would tell the date
fi

fail() {
	echo "FAIL: $*"
	tail -n 40 "$work/log"
	exit 1
}

compare() {
	cmp "$work/a/$1" "$work/much/longer/b/$1" || bad=1
	! grep -qF "$first" "$work/a/$1" || { echo "$1 names the directory it was made in"; bad=1; }
}

if [ "$what" = package ]; then
	command -v cpack dpkg-deb >/dev/null || { echo "cpack or dpkg-deb is missing"; exit 77; }
	# Tests are there, since guests of theirs are installed, but not built.
	options="-DCMAKE_SKIP_INSTALL_ALL_DEPENDENCY=ON" targets=product
else
	options="-DBUILD_TESTING=OFF" targets="hello crash pvguest"
fi
# made DIRECTORY MASK: builds in it, from sources that only what MASK leaves can read.
made() {
	local dir=$1
	umask "$2"
	tar -C "$source" --exclude=./build --exclude='./build-*' --exclude=./.git -cf - . | tar -C "$work/$dir" -xf - || exit 1
	[ "$2" = 022 ] || chmod -R go= "$work/$dir"
	cmake -S "$work/$dir" -B "$work/$dir/out" -G Ninja $options -DCMAKE_C_COMPILER="$compiler" >"$work/log" 2>&1 ||
		fail "cannot be configured in $dir"
	# shellcheck disable=SC2086
	ninja -C "$work/$dir/out" -j2 $targets >"$work/log" 2>&1 || fail "cannot be built in $dir"
}

# packaged DIRECTORY BUILD
packaged() {
	umask 022 # the one thing of who makes it that gets in: the mode of the archive's members
	cpack -G DEB --config "$2/CPackConfig.cmake" -B "$work/$1" >"$work/log" 2>&1 || fail "cannot be packaged in $1"
	mv "$work/$1"/*.deb "$work/$1/deb"
	dpkg-deb -x "$work/$1/deb" "$work/$1/root" || fail "is no package"
}

mask=022
for dir in $dirs; do
	mkdir -p "$work/$dir"
	[ -n "$ready" ] || made "$dir" $mask
	[ "$what" != package ] || packaged "$dir" "${ready:-$work/$dir/out}"
	mask=077 ready=
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
