#!/bin/bash
# The same sources in two directories give the same bytes: guest library, a guest, a library of the monitor's, the list of
# components:  reproducible.sh SOURCE C_COMPILER
set -u
source=$1 compiler=$2
export SOURCE_DATE_EPOCH=1700000000
unset CMAKE_C_COMPILER_LAUNCHER

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*"
	tail -n 40 "$work/log"
	exit 1
}

made="ring3.spdx components.def examples/hello.elf examples/crash.elf pvguest/libpvguest.a shadowpt/libshadowpt.a"
for dir in a much/longer/b; do
	mkdir -p "$work/$dir"
	tar -C "$source" --exclude=./build --exclude='./build-*' --exclude=./.git -cf - . | tar -C "$work/$dir" -xf - || exit 1
	cmake -S "$work/$dir" -B "$work/$dir/out" -G Ninja -DBUILD_TESTING=OFF -DCMAKE_C_COMPILER="$compiler" \
		>"$work/log" 2>&1 || fail "cannot be configured in $dir"
	ninja -C "$work/$dir/out" -j2 hello crash pvguest shadowpt >"$work/log" 2>&1 || fail "cannot be built in $dir"
done
for file in $made; do
	cmp "$work/a/out/$file" "$work/much/longer/b/out/$file" || bad=1
	! grep -qF "$work" "$work/a/out/$file" || { echo "$file names the directory it was made in"; bad=1; }
done
[ -z "${bad-}" ] || fail "two directories, two results"
