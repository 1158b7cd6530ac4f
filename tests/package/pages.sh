#!/bin/bash
# Manual pages and completions say what the programs' help says:  pages.sh RING3 DIRECTORY
set -u
ring3=$1 pages=$2
bad=0

fail() {
	echo "FAIL: $*"
	bad=1
}

verbs=$("$ring3" help | sed -n 's/^  \([a-z]*\) .*/\1/p' | grep -vx help)
[ "$(wc -w <<<"$verbs")" -gt 5 ] || fail "no verbs: $verbs"
man=$(command -v man) || echo "no man: pages are not formatted"
# shellcheck disable=SC1091
. "$pages/completion.bash" || fail "the completion for bash is none"
! command -v zsh >/dev/null || zsh -n "$pages/completion.zsh" || fail "the completion for zsh is none"

completed() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_ring3
	printf '%s\n' "${COMPREPLY[@]}"
}

for verb in $verbs; do
	page=$pages/ring3-$verb.1
	cmp -s "$page" <("$ring3" help --man "$verb") || fail "$page is not what the program says"
	[ -z "$man" ] || [ -z "$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 man --warnings -l "$page" 2>&1 >/dev/null)" ] ||
		fail "$page: $(man --warnings -l "$page" 2>&1 >/dev/null)"
	options=$("$ring3" "$verb" --help | grep -oE '^ +(-., +)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u)
	[ -n "$options" ] || fail "$verb has no options"
	for option in $options; do
		grep -qF "\\fB${option//-/\\-}\\fR" "$page" || grep -qF "${option//-/\\-}\\fR" "$page" || fail "$page has no $option"
		completed ring3 "$verb" "$option" | grep -qxF -- "$option" || fail "bash does not complete $verb $option"
		grep -qF -- "--${option#--}" "$pages/completion.zsh" || fail "zsh does not complete $option"
	done
	grep -qF "ring3\\-$verb" "$pages/ring3.1" || fail "ring3.1 does not name $verb"
	completed ring3 "${verb:0:2}" | grep -qx "$verb" || fail "bash does not complete the verb $verb"
done
completed ring3 run --engine '' | grep -qx trap || fail "bash does not complete engines"
completed ring3 run --transport p | grep -qx ptrace || fail "bash does not complete transports"
exit $bad
