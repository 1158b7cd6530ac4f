#!/bin/bash
# `ring3 new --language`: makes a project, builds it against an installed ring3, runs its tests and boots it:
#   new_language.sh BUILD_DIR C_COMPILER c++|rust
# Status 77 where there is no compiler for the language.
set -u
build=$1 language=$3
export CC=$2
case $language in
c++) compiler=c++ file=main.cpp ;;
rust) compiler=rustc file=main.rs ;;
esac
command -v $compiler >/dev/null || { echo "no $compiler here"; exit 77; }

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
project=$work/other

fail() {
	echo "FAIL: $*"
	cat "$work/log" 2>/dev/null
	exit 1
}
try() {
	timeout -k 5 200 "$@" >"$work/log" 2>&1 </dev/null
}

try cmake --install "$build" --prefix "$work/prefix" --component ring3 || fail "ring3 cannot be installed"
try cmake --install "$build" --prefix "$work/prefix" --component pvguest || fail "pvguest cannot be installed"
ring3=$work/prefix/bin/ring3
try "$ring3" new --language cobol "$work/none" && fail "any language will do"
[ ! -e "$work/none" ] || fail "a project is left in no language"
try "$ring3" new --language $language "$project" || fail "no project is made"
[ -f "$project/$file" ] && [ ! -e "$project/main.c" ] && [ ! -e "$project/$language" ] || fail "not its files: $(ls "$project")"
grep -rq '@[A-Z]*@' "$project" && fail "a place to fill in is left"
try "$project/ci" "$work/prefix" || fail "its own ci fails"
grep -q '100% tests passed, 0 tests failed out of 2' "$work/log" || fail "not both tests ran"
try cmake --build "$project/build" --target run || fail "it does not run"
grep -q 'the numbers up to 100 add up to 5050' "$work/log" || fail "it does not say what it should"
