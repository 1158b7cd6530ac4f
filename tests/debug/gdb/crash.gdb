# A guest that crashes is still there to be looked at; the debugger decides when it has seen enough.
break crash
continue
#= Breakpoint 1, crash () at
delete
continue
#= Program received signal SIGSEGV
#= crash () at
backtrace
#= #0
#= crash () at
#= #1
#= in main (
print counter
#= = 6
monitor core
#= core to which file? Start ring3 with --core FILE
monitor info irq
#= Exceptions that led here, oldest first:
#= vector 14 #PF
monitor info backtrace
#= crash+0x
#= debuggee.c:
continue
#= exited with code 0170
