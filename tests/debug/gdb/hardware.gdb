# Hardware breakpoints: at an address that nothing is mapped at yet, and before an instruction, each time it comes.
hbreak *0xc0100000
#= Hardware assisted breakpoint 1
hbreak report
#= Hardware assisted breakpoint 2
continue
#= Breakpoint 2,
info registers eip
#= report
delete 2
hbreak print
#= Hardware assisted breakpoint 3
continue
#= Breakpoint 3,
continue
#= Breakpoint 3,
stepi
continue
#= Breakpoint 3,
delete 3
continue
#= exited normally
#! Cannot insert
