# Sourced by the checks: the tree's source files, relative to its root, new ones included; what somebody else has put beside
# its folders, a guest project say, is not its own.
#   files REGEX      of their names, extended
files() {
	if [ -d .git ] && command -v git >/dev/null; then
		git -c safe.directory='*' ls-files --cached --others --exclude-standard
	else
		find . \( -path ./.git -o -path './build*' \) -prune -o -type f -print | sed 's#^\./##'
	fi | grep -E '^((\.ci|cmake|docs|examples|hypercalls|monitor|pvguest|shadowpt|tests)/|[^/]+$)' | grep -E "$1" | LC_ALL=C sort | while read -r file; do
		[ ! -f "$file" ] || echo "$file" # listed by git, but removed
	done
}
