# One step gets over a trapped instruction and one over a system call; `nexti` over a hypercall; `stepi` goes into it and
# comes back.
break *&at_hypercall
break *&at_trapped
break *&at_syscall
continue
#= Breakpoint 1,
nexti
print (long)$rip == (long)&after_hypercall
#= $1 = 1
print $rax != 0
#= $2 = 1
continue
#= Breakpoint 2,
stepi
print (long)$rip == (long)&after_trapped
#= $3 = 1
print $rax == $cr3
#= $4 = 1
continue
#= Breakpoint 3,
print $cs & 3
#= $5 = 3
stepi
# The kernel's entry, and out of it to the instruction behind the call.
print $cs & 3
#= $6 = 0
tbreak *&after_syscall
continue
#= Temporary breakpoint 4,
print $cs & 3
#= $7 = 3
stepi
delete
continue
#= counter 6, answer 7
#= exited with code 07
