# Source lines: `step` goes into functions, `next` over them, `until` and `advance` further.
break main
continue
#= Breakpoint 1, main
advance count
#= count (by=1) at
step
#= main (
next
next
print counter >= 1
#= = 1
advance tell_time
#= tell_time (
continue
#= counter 6, answer 7
#= exited with code 07
