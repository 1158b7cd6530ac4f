# A boot sector: 16-bit code is shown as such, steps and breakpoints are at linear addresses.
show architecture
#= (currently "i8086")
x/4i $pc
#= mov    %cs,%ax
#= call   0x7c09
print sizeof($eip)
#= $1 = 4
stepi
break *0x7c09
continue
#= Breakpoint 1,
x/i $pc
#= pop    %ax
set architecture i386
x/i $pc
#= pop    %eax
continue
#! packet
