#!/bin/bash
# User mode ends no guest:  crash.sh ROOT
# vm_kill leaves the guest alone while user mode runs (monitor/vm/vm.c). What would get round it has its place here:
# vm_shutdown, where no handler of the guest's kernel can be reached, and the status that says crash.
set -eu
cd "$1"
. tests/checks/files.sh

bad=$(files '^(monitor|hypercalls)/.*\.[ch]$' | xargs grep -nE '\<vm_shutdown\(|vm_end\(.*VM_STATUS_CRASH' |
	grep -vE '^monitor/vm/vm\.[ch]:|^monitor/run/inject\.c:.*"triple fault' || true)
[ -z "$bad" ] || {
	echo "$bad"
	exit 1
}
