#!/bin/bash
# The program is position-independent, its tables are read-only once it runs, no page of it can be both written and
# executed, and buffers and stacks are checked:  hardened.sh RING3
set -eu
ring3=$1
headers=$(LC_ALL=C readelf -hlW "$ring3")
dynamic=$(LC_ALL=C readelf -dW "$ring3")
symbols=$(LC_ALL=C readelf --dyn-syms -W "$ring3")

fail=0
want() { # WHAT TEXT PATTERN
	grep -qE "$3" <<<"$2" || { echo "$ring3: $1"; fail=1; }
}
refuse() {
	! grep -qE "$3" <<<"$2" || { echo "$ring3: $1"; fail=1; }
}

want "is bound to fixed addresses" "$headers" 'Type: +DYN'
want "leaves its tables writable: no RELRO" "$headers" 'GNU_RELRO'
want "binds functions when they are called: its tables stay writable" "$dynamic" 'BIND_NOW|FLAGS.*NOW'
refuse "has relocations in its code" "$dynamic" 'TEXTREL'
want "says nothing of its stack" "$headers" 'GNU_STACK.* RW '
refuse "has a segment that is both written and executed" "$headers" '^ +(LOAD|GNU_STACK).* RWE '
want "has no stack protector" "$symbols" '__stack_chk_fail'
want "has no checked buffers" "$symbols" '__[a-z]+_chk'
exit $fail
