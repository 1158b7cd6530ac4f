#!/bin/sh
# Installs the guest library to a prefix of its own, builds a guest project that knows nothing of this tree against it,
# by CMake and by pkg-config, and runs both:  out_of_tree.sh BUILD_DIR PROJECT_DIR RING3 C_COMPILER
set -eu
build=$1 project=$2 ring3=$3 cc=$4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() {
	set +e
	"$ring3" run --timeout 60 -a "$2" "$1" </dev/null >"$work/out"
	got=$?
	set -e
	[ $got -eq 42 ] || { echo "FAIL: $1 $2: exit status $got, expected 42"; exit 1; }
	echo "built elsewhere, says pvguest: $2" | diff -u - "$work/out"
}

cmake --install "$build" --prefix "$work/prefix" --component pvguest >"$work/install.log"

cmake -S "$project" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" >"$work/cmake.log" ||
	{ cat "$work/cmake.log"; exit 1; }
cmake --build "$work/build" >"$work/build.log" || { cat "$work/build.log"; exit 1; }
expect "$work/build/elsewhere.elf" pv=on
expect "$work/build/elsewhere.elf" pv=off

command -v pkg-config >/dev/null || { echo "FAIL: no pkg-config"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name pvguest.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
"$cc" -O2 $(pkg-config --cflags pvguest) "$project/main.c" -o "$work/pc.elf" $(pkg-config --libs pvguest)
expect "$work/pc.elf" pv=on
