# Watchpoints: writes, reads, both; what nobody touches stops nobody.
break main
continue
#= Breakpoint 1, main
watch counter
#= Hardware watchpoint 2: counter
rwatch place.x
#= Hardware read watchpoint 3: place.x
awatch answer
#= Hardware access (read/write) watchpoint 4: answer
continue
#= Hardware watchpoint 2: counter
#= Old value = 0
#= New value = 1
continue
#= Old value = 1
#= New value = 3
delete 2
continue
#= Hardware read watchpoint 3: place.x
#= Value = 3
continue
#= Hardware access (read/write) watchpoint 4: answer
#= New value = 7
delete
continue
#= counter 6, answer 7
#= exited with code 07
