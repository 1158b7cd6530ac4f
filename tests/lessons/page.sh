#!/bin/bash
# Holds a lesson's page to its word:  page.sh ROOT BUILD PAGE [update]
# Makes the page anew and compares; with `update`, puts the new one in its place.
#
#   <!-- file: PATH -->    the block below is that file, whole
#   ```console             a block that begins with lines "$ COMMAND"; each is run by sh in a directory where build/,
#                          examples/ and docs/ are the project's, and each must print what follows them in the block,
#                          end with status 0, and leave nothing behind
#
# Blocks that need gdb are kept as they are on hosts without it. Each lesson runs on every engine, by itself or by exits.sh.
set -u
root=$(realpath "$1") build=$(realpath "$2") page=$(realpath "$3") mode=${4:-check}
limit=60
failed=0

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/here"
ln -s "$build" "$work/here/build"
ln -s "$root/examples" "$root/docs" "$work/here"

fail() {
	echo "FAIL: $*"
	failed=1
}

# Prints what COMMAND prints on stdout.
run() {
	local status=0
	(cd "$work/here" && exec timeout -k 5 $limit bash -o pipefail -c "$1") </dev/null >"$work/out" 2>"$work/err" || status=$?
	if [ $status -ne 0 ] || [ -s "$work/err" ]; then
		fail "status $status: $1" >&2
		cat "$work/err" >&2
		return 1
	fi
	cat "$work/out"
}

# The lines of a block from the descriptor it is read from, without the closing fence.
rest_of_block() {
	local line
	while IFS= read -r line && [ "$line" != '```' ]; do
		printf '%s\n' "$line"
	done
}

# The block as it ought to be; as it is if it cannot be judged or a command fails.
console_block() {
	local block commands output first=yes command
	block=$(rest_of_block)
	printf '%s\n```\n' "$block" >"$work/as_it_is"
	commands=$(sed -n '/^\$ /!q; s/^\$ //p' <<<"$block")
	if grep -q gdb <<<"$commands" && ! command -v gdb >/dev/null; then
		cat "$work/as_it_is"
		return
	fi
	while IFS= read -r command; do
		if ! output=$(run "$command"); then
			cat "$work/as_it_is"
			return 1
		elif [ $first = yes ]; then
			printf '%s\n' "$output" >"$work/first"
			first=no
		elif ! diff -u "$work/first" <(printf '%s\n' "$output") >&2; then
			echo "FAIL: prints something else than the first of its block: $command" >&2
			cat "$work/as_it_is"
			return 1
		fi
	done <<<"$commands"
	sed 's/^/$ /' <<<"$commands"
	cat "$work/first"
	echo '```'
}

listing() {
	local fence
	IFS= read -r fence
	rest_of_block >/dev/null
	printf '%s\n' "$fence"
	cat "$root/$1" || return 1
	echo '```'
}

while IFS= read -r line; do
	printf '%s\n' "$line"
	case $line in
	'```console') console_block || failed=1 ;;
	'<!-- file: '*' -->')
		path=${line#<!-- file: }
		listing "${path% -->}" || failed=1
		;;
	esac
done <"$page" >"$work/page"

for engine in trap interpret hybrid; do
	grep -q -e "^\$ .*--engine=$engine" -e '^\$ .*exits\.sh' "$page" || fail "the page has no run with --engine=$engine"
done
if [ $mode = update ]; then
	[ $failed -eq 0 ] && cp "$work/page" "$page"
	exit $failed
fi
diff -u "$page" "$work/page" || fail "${page##*/} does not show what is so; the target lessons_update brings it up to date"
[ -z "$(ls -A "$work/here" | grep -vx -e build -e examples -e docs)" ] || fail "files are left over"
exit $failed
