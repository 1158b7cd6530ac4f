#!/bin/bash
# Makes an archive of programs that are installed here, for tinix:  mkroot.sh OUTPUT PROGRAM|FILE|DIRECTORY...
# Programs are looked up in PATH. Each goes where it lies here, with the dynamic linker and the libraries that it needs; other
# files and directories go whole. Archives may follow each other: cat tinix.cpio OUTPUT >initramfs.
set -eu
output=$(realpath -m "$1")
shift
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# Follows links: the tree has none of the host's.
put() {
	[ ! -e "$tree$1" ] || return 0
	mkdir -p "$tree$(dirname "$1")"
	cp -L "$1" "$tree$1"
}

# The libraries by the names under which the linker will look for them.
put_libraries() {
	local list library
	list=$(ldd "$1" 2>/dev/null) || return 0 # static, or no program
	for library in $(grep -oE '(^|[[:space:]])/[^ ]+' <<<"$list"); do
		put "$library"
	done
}

for name; do
	path=$(command -v -- "$name") || path=$name
	if [ -d "$path" ]; then
		mkdir -p "$tree$path"
		cp -RL "$path/." "$tree$path/"
	elif [ -f "$path" ]; then
		path=$(realpath -s "$path")
		put "$path"
		put_libraries "$path"
	else
		echo "mkroot.sh: $name is not installed, and no file or directory" >&2
		exit 1
	fi
done
chmod -R u+w "$tree"
(cd "$tree" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -R 0:0 -o -H newc) >"$output.new"
mv "$output.new" "$output"
