#!/bin/bash
# The boundaries between the folders, as their #include lines show them:  includes.sh ROOT
# The guest's side includes only pvguest/, the dual-use headers and what a freestanding program has; shadowpt/ nothing
# of the host's; the monitor nothing of the guest library; and nobody climbs with "../".
set -eu
cd "$1"
. tests/checks/files.sh

bad=$(files '\.[chS]$' | xargs awk '
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
			if (name ~ /^(hypercalls\/host|monitor|shadowpt)\//)
				why = "is of the monitor"
			else if (dual && name ~ /pvguest\//)
				why = "is of the guest library"
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
		if (why)
			print FILENAME ":" FNR ": " name " " why
	}')
[ -z "$bad" ] || {
	echo "$bad"
	exit 1
}
