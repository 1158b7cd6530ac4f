#!/bin/sh
# The guest library defines no global symbol but pvg_*, _start and the functions that compilers call, and needs none but main:
#   symbols.sh LIBRARY
set -eu
defined=$(nm --defined-only --extern-only "$1" | awk 'NF == 3 { print $3 }' |
	grep -vxE 'pvg_[a-z0-9_]+|_start|memcpy|memmove|memset|memcmp|bcmp|strlen|__cxa_(atexit|pure_virtual)|__dso_handle|_ZdlPvm?' || true)
# The linker and its scripts define the ends of the image, where its addresses lie, and the table of them.
needed=$(nm --undefined-only "$1" | awk 'NF == 2 { print $2 }' | grep -vxE 'main|pvg_image_(start|end)|pvg_(init|fini)_array(_end)?|pvg_(rodata|data)_start|pvg_direct_base|pvg_(hypercall_page|bare_tables|loaded_start|loaded_end|needed_end)_gpa|_GLOBAL_OFFSET_TABLE_' || true)
[ -z "$defined" ] || { echo "FAIL: global symbols that are not pvg_*:" $defined; exit 1; }
[ -z "$needed" ] || { echo "FAIL: needs symbols that a guest does not have:" $needed; exit 1; }
nm --defined-only --extern-only "$1" | grep -q ' _start$' || { echo "FAIL: no _start"; exit 1; }
