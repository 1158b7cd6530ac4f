# The monitor's own views, and stopping at what happens to the guest.
monitor info registers
#= Registers of vCPU 0, CPL 0
monitor info mem
#= root 0x10000
#= -rwx
monitor info tlb
#= 2M
monitor info pg
#= [  0] table at
monitor info pg 200000
#= PML4 [  0]
#= is gpa 0x200000
monitor info shadow
#= space of root 0x10000
monitor info irq
#= master 8259
monitor info devices pic.chip[1]
#= pic.chip[1].lines
#= pic.chip[1].master 0
monitor info exits
#= hypercall
#= Last
monitor info backtrace
#= Backtrace
monitor stop on
#= stop on what? nothing, or one of
monitor trace
#= the trace is off
monitor trace last
#= no events
monitor trace on
monitor trace
#= the trace is on
monitor stop on hypercall
break call_monitor
continue
#= Program received signal SIGTRAP
monitor stop on nothing
continue
#= Breakpoint 1,
monitor trace last
#= exit hypercall(call="
monitor trace off
monitor nonsense
#= there is no such command
monitor core
#= ring3: core in debuggee.core
monitor core debuggee.core
#= ring3: core in debuggee.core
monitor core other.core
#= ring3: no core in other.core: the monitor writes only to files that were named at its start; start ring3 with --core
kill
