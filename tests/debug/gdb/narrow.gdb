# A 32-bit kernel: 32-bit registers, breakpoints, steps, a backtrace, and values that are set.
break report
continue
#= Breakpoint 1,
print sizeof($eip)
#= $1 = 4
print sizeof($esp)
#= $2 = 4
print/x $cr0 & 1
#= $3 = 0x1
print/x $eflags & 0x200
#= $4 = 0x0
x/1xw $esp + 4
#= 0x2badb002
backtrace
#= #0  0x
#= in report ()
set $ebx = 0x87654321
print/x $ebx
#= $5 = 0x87654321
set var $before = $pc
stepi
print $pc > $before
#= $6 = 1
tbreak print
continue
#= Temporary breakpoint 2,
info registers cs
#= cs             0x8 
continue
#! packet
#! warning
