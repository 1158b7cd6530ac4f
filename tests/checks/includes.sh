#!/bin/bash
# The boundaries between the folders, as their #include lines show them:  includes.sh ROOT
# Floors: the table of folders in docs/architecture.md is in order, and a file includes from its own row or from those
# below; internal.h is its folder's own, and a verb's wing shows one header, named as itself. Sides: the guest's includes only pvguest/, the dual-use headers and what a freestanding program has; shadowpt/
# nothing of the host's; and nobody climbs with "../".
set -eu
cd "$1"
. tests/checks/files.sh

bad=$({ echo docs/architecture.md; files '\.([chS]|def)$'; } | xargs awk '
	function floor_of(name) { # the row of its nearest folder that has one
		while (sub(/[^\/]*\/?$/, "", name) && name != "")
			if (name in floor)
				return floor[name]
		return 0
	}
	function folder(name) {
		sub(/[^\/]*$/, "", name)
		return name
	}
	FILENAME == ARGV[1] {
		listing = /^## / ? /^## Folders$/ : listing
		if (listing && match($0, /^\| `[^`]*\/`/))
			floor[substr($0, 4, RLENGTH - 4)] = ++floors
		next
	}
	FNR == 1 {
		own = floor_of(FILENAME)
		if (!own)
			print FILENAME ": the table of folders in docs/architecture.md has no row for it"
	}
	!/^[ \t]*#[ \t]*include[ \t]*["<]/ { next }
	{
		match($0, /["<][^">]*[">]/)
		ours = substr($0, RSTART, 1) == "\""
		name = substr($0, RSTART + 1, RLENGTH - 2)
		dual = FILENAME ~ /^hypercalls\/[^\/]*$/
		why = ""
		if (name ~ /\.\.\//)
			why = "climbs out of its folder"
		else if (FILENAME ~ /^(pvguest|examples|tests\/guest)\// || dual) {
			if (dual && name ~ /pvguest\//)
				why = "is of the guest library"
			else if (name ~ /^(hypercalls\/host|monitor|shadowpt)\//)
				why = "is of the monitor"
			else if (FILENAME ~ /^examples\// && name ~ /^(linux|asm)\//)
				; # numbers and layouts of the system that a guest offers its programs
			else if (!ours && name !~ /^pvguest\// && name !~ /^(std(int|bool|def|arg)|cpuid)\.h$/)
				why = "is not there in a freestanding program"
		} else if (FILENAME ~ /^shadowpt\//) {
			allowed = ours ? "^(shadowpt/|hypercalls/x86\\.h$)" : "^(stdint|stdbool|stddef|string|stdlib)\\.h$"
			if (name !~ allowed)
				why = "is not for a pure library"
		} else if (FILENAME ~ /^(monitor|hypercalls\/host)\// && name ~ /pvguest\//)
			why = "is of the guest library"
		if (!why && ours && floor_of(name) && floor_of(name) < own)
			why = "is on a floor above"
		split(name, part, "/")
		if (!why && FILENAME !~ /^tests\// && folder(name) != folder(FILENAME) && (name ~ /\/internal\.h$/ ||
		    (name ~ /^monitor\/cli\/[^\/]*\// && part[3] != "common" && part[4] != part[3] ".h")))
			why = "is no header that its folder shows to others"
		if (why)
			print FILENAME ":" FNR ": " name " " why
	}')
[ -z "$bad" ] || {
	echo "$bad"
	exit 1
}
