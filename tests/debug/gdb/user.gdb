# What user mode touches is seen as well.
break main
continue
#= Breakpoint 1, main
watch touched
continue
#= Hardware watchpoint 2: touched
#= Old value = 0
#= New value = 1
print $cs & 3
#= $1 = 3
delete
continue
#= counter 6, answer 7
#= exited with code 07
