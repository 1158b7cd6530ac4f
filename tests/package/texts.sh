#!/bin/bash
# What is installed by itself, in a new prefix: the commands on its pages of lessons, what its pages lead to:
#   texts.sh SOURCE BUILD
set -u
source=$1 build=$2

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix doc=$work/prefix/share/doc/ring3
failed=0

fail() {
	echo "FAIL: $*"
	failed=1
}

cmake --install "$build" --prefix "$prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mkdir "$work/empty"
for page in "$doc"/docs/lessons/[0-9]*.md "$doc/docs/scheduler.md"; do
	env -i PATH=/usr/bin:/bin HOME="$work" "$source/tests/lessons/page.sh" "$doc" "$work/empty" "$page" || fail "$page"
done

while IFS=: read -r page link; do
	[ -e "$(dirname "$page")/$link" ] || fail "$page leads to $link, which is not there"
done < <(grep -roE '\]\([^)#:]+[)#]' "$doc" --include='*.md' | sed -E 's/:\]\(/:/; s/[)#]$//')
! grep -rnE '(^|[^a-z])(build/(ring3|lessons|examples)|\./(run|test)\b)' "$doc"/README.md "$doc"/docs/*.md "$doc"/docs/lessons "$doc"/examples |
	grep -v docs/architecture.md || fail "pages name the build directory"
! grep -rnE '@(prefix|share|doc)@|<!-- (/?source|installed)' "$doc" || fail "marks are left over"
exit $failed
