# Debug registers that never stop a program: a watchpoint is refused, and said to be, and the guest goes on without when gdb,
# which stops reading its script here, has gone.
break main
continue
#= Breakpoint 1, main
watch counter
#= Hardware watchpoint 2: counter
continue
#= ring3: watchpoints need debug registers, and this host's do not stop programs
#= Could not insert hardware watchpoint 2
