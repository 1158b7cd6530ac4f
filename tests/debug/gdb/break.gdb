# Breakpoints of both kinds, source lines, arguments, registers, memory both ways.
break count
#= Breakpoint 1 at
hbreak read_place
#= Hardware assisted breakpoint 2 at
continue
#= Breakpoint 1, count (by=1) at
#= counter += by;
backtrace
#= #0  count (by=1) at
#= in main (
print counter
#= $1 = 0
finish
print counter
#= $2 = 1
print text
#= $3 = "written by the guest"
set var text[0] = 'W'
print text
#= $4 = "Written by the guest"
print/x $cr0 & 1
#= $5 = 0x1
print $cr3 != 0
#= $6 = 1
info registers efer
#= LMA
delete 1
continue
#= Breakpoint 2, read_place () at
set var place.y = 38
continue
#= counter 6, answer 41
#= exited with code 07
