#!/bin/bash
# Static analysis of all C but the unit tests:  cppcheck.sh ROOT BUILD_DIR
set -eu
cd "$1"
. tests/checks/files.sh

mkdir -p "$2/cppcheck"
files '^(monitor|hypercalls|shadowpt|pvguest|examples)/.*\.c$' | cppcheck --file-list=- --quiet --error-exitcode=1 \
	--enable=warning,performance,portability --inline-suppr --std=c11 --platform=unix64 -j2 \
	--suppressions-list=tests/checks/cppcheck.list --cppcheck-build-dir="$2/cppcheck" \
	-I . -I pvguest/include -I "$2/generated" -D_GNU_SOURCE -D__x86_64__ -DR3_VERSION='"0"'
