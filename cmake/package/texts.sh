#!/bin/sh
# Pages and scripts as they are installed: what stands in the source tree names the build directory.
#   texts.sh SOURCE OUTPUT PREFIX BIN SHARE DOC      the last three relative to PREFIX, or absolute
#
# In a page, what stands between lines "<!-- source -->" and "<!-- /source -->" is of the source tree only, and what stands
# between "<!-- installed" and "-->" is for the installed page; @prefix@, @share@ and @doc@ are places.
set -eu
source=$1 output=$2 prefix=$3
absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$prefix/$1" ;;
	esac
}
ring3=$(absolute "$4")/ring3 share=$(absolute "$5") doc=$(absolute "$6")
case $ring3 in
/usr/bin/ring3 | /usr/local/bin/ring3) ring3=ring3 ;; # in everybody's PATH
esac

rm -rf "$output"
cd "$source"
find README.md docs examples \( -path examples/tinix -o -path examples/project \) -prune -o \
	\( -name '*.md' -o -name '*.sh' -o -name '*.gdb' \) ! -name skeleton.sh -print | while read -r file; do
	mkdir -p "$output/$(dirname "$file")"
	awk '/^<!-- source -->$/ { skip = 1 }
		/^<!-- installed$/ { shown = 1; next }
		shown && /^-->$/ { shown = 0; next }
		!skip { print }
		/^<!-- \/source -->$/ { skip = 0 }' "$file" |
		sed -E -e "s#build/ring3#$ring3#g" -e "s#build/lessons/#$share/ring3/lessons/#g" \
			-e "s#build/examples/#$share/ring3/guests/#g" -e "s#examples/tinix/(mk[a-z]*\.sh)#$share/ring3/tinix/\1#g" \
			-e "s#examples/popek-goldberg/([0-9a-z-]*\.(sh|gdb))#$doc/examples/popek-goldberg/\1#g" \
			-e "s#@prefix@#$prefix#g; s#@share@#$share#g; s#@doc@#$doc#g" >"$output/$file"
done
