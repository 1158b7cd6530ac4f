# A reset in the middle, and one of a guest that has crashed: the session and its breakpoints stay.
break crash
break read_place
continue
#= Breakpoint 2, read_place () at
print counter
#= $1 = 6
monitor system_reset
#= stands before its first instruction again
maintenance flush register-cache
print (long)$rip == (long)&_start
#= $2 = 1
print counter
#= $3 = 0
continue
#= Breakpoint 2, read_place () at
delete 2
continue
#= Breakpoint 1, crash () at
delete 1
continue
#= Program received signal SIGSEGV
monitor system_reset
#= the guest crashed: triple fault
maintenance flush register-cache
break count
continue
#= Breakpoint 3, count (by=1) at
kill
