#!/bin/bash
# `ring3 new`: makes a project, builds it against an installed ring3, boots it, runs its tests, stops at a breakpoint in
# gdb (left out where that is missing); and what it refuses:  new.sh BUILD_DIR C_COMPILER
set -u
build=$1
export CC=$2

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
project=$work/My-kernel_2

fail() {
	echo "FAIL: $*"
	cat "$work/log" 2>/dev/null
	exit 1
}
try() {
	timeout -k 5 100 "$@" >"$work/log" 2>&1 </dev/null
}

try cmake --install "$build" --prefix "$work/prefix" --component ring3 || fail "ring3 cannot be installed"
try cmake --install "$build" --prefix "$work/prefix" --component pvguest || fail "pvguest cannot be installed"
ring3=$work/prefix/bin/ring3

try "$ring3" new "$project/" || fail "no project is made"
grep -q "CMAKE_PREFIX_PATH=$work/prefix\$" "$work/log" || fail "it does not say where the library is"
grep -rq '@[A-Z]*@' "$project" && fail "a place to fill in is left: $(grep -r '@[A-Z]*@' "$project")"

try "$project/ci" "$work/prefix" || fail "its own ci fails"
grep -q '100% tests passed, 0 tests failed out of 2' "$work/log" || fail "not both tests ran"
for pv in on off; do
	grep -q 'tests="3" failures="0" errors="0"' "$project/build/junit-pv-$pv.xml" || fail "no results in XML, pv=$pv"
done
try cmake --build "$project/build" --target run || fail "it does not run"
grep -q 'the numbers up to 100 add up to 5050' "$work/log" || fail "it does not say what it should"

# A test that fails is seen.
sed -i 's/5050/5051/' "$project/test.c"
try "$project/ci" "$work/prefix" && fail "a failing test is not seen"
grep -q '^not ok 3 - the sum that Gauss found' "$work/log" || fail "the failure is not shown"

# What the editor would do.
cat >"$work/json.cmake" <<'END'
foreach(file launch tasks)
  file(READ ${PROJECT}/.vscode/${file}.json ${file})
endforeach()
string(JSON address GET "${launch}" configurations 0 miDebuggerServerAddress)
string(JSON program GET "${launch}" configurations 0 program)
string(JSON before GET "${launch}" configurations 0 preLaunchTask)
string(JSON task GET "${tasks}" tasks 1 label)
string(REPLACE "\${workspaceFolder}" "${PROJECT}" program "${program}")
if(NOT address STREQUAL "localhost:1234" OR NOT EXISTS "${program}" OR NOT before STREQUAL task)
  message(FATAL_ERROR "launch.json: ${address} ${program} ${before}")
endif()
END
try cmake -DPROJECT="$project" -P "$work/json.cmake" || fail "the files for VS Code do not fit"
elf=$project/build/My-kernel_2.elf
if command -v gdb >/dev/null; then
	try gdb -nx -batch -ex 'set confirm off' -ex "target remote | exec '$ring3' run --timeout 90 --gdb stdio -S '$elf'" \
		-ex 'break sum_to' -ex continue -ex 'print last' -ex 'backtrace 1' -ex delete -ex continue "$elf" ||
		fail "gdb fails"
	grep -q '^Breakpoint 1, sum_to (last=\(last@entry=\)\?100) at .*/sum.c:' "$work/log" || fail "gdb does not stop at the breakpoint"
	grep -q '^\$1 = 100$' "$work/log" || fail "gdb does not see the argument"
	grep -q 'exited normally' "$work/log" || fail "the guest does not go on to its end"
else
	echo "without gdb: no breakpoint was tried"
fi

# refused TEXT ARGUMENT...
refused() {
	local text=$1
	shift
	(cd "$work" && try "$ring3" new "$@")
	[ $? -eq 125 ] || fail "not refused: $*"
	tr "\n" " " <"$work/log" | grep -q "^ring3: new: .*$text" || fail "no word of '$text': $*"
}
refused "is not empty" "$project"
touch "$work/file"
: >"$work/file"
refused "cannot use .*/file" --name x "$work/file"
refused "cannot make" "$work/no/such"
refused "name the directory"
refused "name the directory" ""
refused "one argument too many" a b
for name in test 2nd 'a b' 'x;y' "$(printf 'a\nb')" 'é' "$(printf '%065d' 0 | tr 0 a)" '$(x)' '-'; do
	refused "no good name" --name "$name" other
	[ ! -e "$work/other" ] || fail "a directory is left of '$name'"
done
refused "no good name" /
mkdir "$work/empty"
(cd "$work/empty" && try "$ring3" new .) || fail "an empty directory is refused"
[ -f "$work/empty/.vscode/launch.json" ] || fail "an empty directory stays empty"

# A host that does not let it write: nothing is left.
(
	trap '' XFSZ
	ulimit -f 0
	cd "$work" || exit 1
	"$ring3" new full >/dev/null 2>"$work/err"
	[ $? -eq 125 ]
) || fail "a full disk is not refused"
[ ! -e "$work/full" ] || fail "a part of a project is left: $(find "$work/full")"
