# While somebody thinks, the machine's time stands still: the guest's clock, its timers, and --timeout.
break count
continue
#= Breakpoint 1,
shell sleep 1.2
delete
continue
#= time stood still
#! time went on
#= exited with code 07
