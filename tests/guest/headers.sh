#!/bin/bash
# docs/guests.md and the headers of pvguest know each other:  headers.sh ROOT
# Every header has a row in the table and is in pvguest.h (language.h is in each), and every row is a header; what the pages call pvg_something
# exists.
set -u
root=$1
include=$root/pvguest/include/pvguest
failed=0
fail() {
	echo "FAIL: $*"
	failed=1
}

rows=$(sed -n '/^## The headers/,/^## /s/^| `\([a-z]*\.h\)` |.*/\1/p' "$root/docs/guests.md" | sort)
headers=$(ls "$include" | sort)
for header in $(comm -23 <(echo "$headers") <(echo "$rows")); do
	fail "docs/guests.md has no row for $header"
done
for header in $(comm -13 <(echo "$headers") <(echo "$rows")); do
	fail "docs/guests.md has a row for $header, which does not exist"
done
for header in $(grep -vx -e pvguest.h -e language.h <<<"$headers"); do
	grep -q "^#include <pvguest/$header>" "$include/pvguest.h" || fail "pvguest.h does not include $header"
done

# Names that the pages use, `pvg_*` aside.
known=$(cat "$include"/*.h "$root"/pvguest/cmake/pvguest.cmake | grep -oE '\b(pvg|pvguest)_[a-z0-9_]+' | sort -u)
for page in guests scheduler projects; do
	used=$(grep -oE '\b(pvg|pvguest)_[a-z0-9_]+' "$root/docs/$page.md" | grep -v '_$' | sort -u)
	for name in $(comm -23 <(echo "$used") <(echo "$known")); do
		fail "docs/$page.md: no header has $name"
	done
done
exit $failed
