#!/bin/bash
# A file is a reader's page: more than 500 lines, or a C function of more than 80, needs a line with a reason in
# sizes.list (FILE reason, or FILE:FUNCTION reason), and a line there that nothing needs is an error too.
#   sizes.sh ROOT
set -eu
cd "$1"
. tests/checks/files.sh

{
	files '\.([chS]|sh|cmake|def)$|CMakeLists\.txt$|^(run|test|\.ci/run)$' |
		xargs wc -l | awk '$2 != "total" && $1 > 500 { print $2, $1 }'
	# In this layout a function's body stands between braces in the first column, its name before the first "(".
	files '\.[ch]$' | xargs awk '
		/^[A-Za-z_].*\(/ { head = $0; sub(/\(.*/, "", head); sub(/.*[ *]/, "", head) }
		/^\{$/ { start = FNR }
		/^\}$/ && start { if (FNR - start - 1 > 80) print FILENAME ":" head, FNR - start - 1; start = 0 }'
} | awk '
	NR == FNR { if ($0 !~ /^#/ && NF) { allowed[$1] = 1; if (NF < 2) { print "no reason given: " $1; bad = 1 } } next }
	$1 in allowed { delete allowed[$1]; next }
	{ print $1 ": " $2 " lines; split it, or give the reason in tests/checks/sizes.list"; bad = 1 }
	END {
		for (name in allowed) { print name ": in tests/checks/sizes.list, but not too long"; bad = 1 }
		exit bad
	}' tests/checks/sizes.list -
