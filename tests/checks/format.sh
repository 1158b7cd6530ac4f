#!/bin/bash
# All C is laid out as .clang-format says:  format.sh ROOT CLANG_FORMAT
set -eu
cd "$1"
. tests/checks/files.sh

files '\.[ch]$' | xargs "$2" --dry-run -Werror
