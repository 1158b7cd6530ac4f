#!/bin/bash
# The tests that architecture.md names where it argues for isolation are there:  isolation.sh SOURCE BUILD CTEST
set -eu
source=$1 build=$2 ctest=$3
tests=$("$ctest" --test-dir "$build" -N | sed -n 's/.*Test *#[0-9]*: //p')
[ -n "$tests" ] || { echo "no tests in $build"; exit 1; }
# Each argument is a paragraph that begins with its number.
section=$(sed -n '/^## Isolation/,/^### /p' "$source/docs/architecture.md")
arguments=$(grep -c '^[0-9]*\. \*' <<<"$section")
bad=0

# is_there NAME: a source of tests/escape that is built or run, another file or folder of the tree, or a test.
is_there() {
	case $1 in
	*/*) [ -e "$source/$1" ] ;;
	*.c | *.py | *.sh) [ -f "$source/tests/escape/$1" ] && grep -qF "$1" "$source/tests/escape/CMakeLists.txt" ;;
	*) grep -qxF "$1" <<<"$tests" || grep -q "^${1//./\\.}\\." <<<"$tests" ;;
	esac
}

for number in $(seq "$arguments"); do
	text=$(awk -v n="$number" '/^[0-9]+\. \*/ { on = index($0, n ". *") == 1 } /^$/ { on = 0 } on' <<<"$section")
	named=0
	# Of what stands in backquotes, names of tests alone have a dot or begin with tests/.
	for name in $(grep -oE '`(tests/[a-z/_.]*|[a-z0-9_]+\.[a-z0-9_]+)`' <<<"$text" | tr -d '`'); do
		named=$((named + 1))
		is_there "$name" || { echo "argument $number names $name, which is not there"; bad=1; }
	done
	[ $named -gt 0 ] || { echo "argument $number names no test"; bad=1; }
done
# So does each kind of attack in the table.
attacks=0
while read -r name; do
	attacks=$((attacks + 1))
	is_there "$name" || { echo "the table of attacks names $name, which is not there"; bad=1; }
done < <(sed -n 's/^| [^|]* |//p' <<<"$section" | grep -oE '`[a-z0-9_]+\.[a-z0-9_.]+`' | tr -d '`')
[ $attacks -gt 20 ] || { echo "$attacks tests in the table of attacks: the section reads otherwise than this check"; bad=1; }
[ "$arguments" -gt 5 ] || { echo "$arguments arguments: the section reads otherwise than this check"; bad=1; }
exit $bad
