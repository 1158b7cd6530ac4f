# What engine `translate` executes in the place of the guest's code.
break *&at_trapped
continue
#= Breakpoint 1,
eval "monitor info code %lx", (long)&at_trapped
#= block of
#= mov rax, cr3
#= nop
monitor info code 7fffffff0000
#= no code
delete
continue
#= exited with code 07
