#!/bin/bash
# docs/tour.list names every source file once, in the order a newcomer should read them, with one line on what it is:
#   tour.sh ROOT
set -eu
cd "$1"
. tests/checks/files.sh

files '\.([chS]|def|lds)$' | awk '
	NR == FNR {
		if ($0 ~ /^#/ || !NF) next
		if ($1 in listed) { print $1 ": twice in docs/tour.list"; bad = 1 }
		if (NF < 3) { print $1 ": docs/tour.list does not say what it is"; bad = 1 }
		listed[$1] = 1
		next
	}
	$1 in listed { delete listed[$1]; next }
	{ print $1 ": not in docs/tour.list"; bad = 1 }
	END {
		for (name in listed) { print name ": in docs/tour.list, but there is no such file"; bad = 1 }
		exit bad
	}' docs/tour.list -
