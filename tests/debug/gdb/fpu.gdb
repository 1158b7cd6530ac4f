# The x87's tag word is the processor's own; both halves of the vector registers can be read and written.
break *&at_fpu
continue
#= Breakpoint 1,
print $ftag == (fpu_environment[2] & 0xffff)
#= $1 = 1
print/x $ftag
#= $2 = 0x4bff
print $st1
#= $3 = 1
set var $ymm3.v4_int64[3] = 0x1122334455667788
set var $ymm15.v4_int64[0] = 77
stepi
print/x $ymm3.v4_int64[3]
#= $4 = 0x1122334455667788
print $ymm15.v4_int64[0]
#= $5 = 77
print $xmm15.v2_int64[0]
#= $6 = 77
continue
#= counter 6, answer 7
#= exited with code 07
