# What compiler and linker offer against mistakes in the monitor, as the target r3_hardened.
add_library(r3_hardened INTERFACE)
target_compile_options(r3_hardened INTERFACE -fPIE $<$<COMPILE_LANGUAGE:C>:-fstack-protector-strong>
  $<$<COMPILE_LANGUAGE:C>:-fstack-clash-protection> -fcf-protection)
# The sanitizers bring checked copies of their own, and the C library's need an optimizing compiler.
if(NOT R3_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(r3_hardened INTERFACE $<$<COMPILE_LANGUAGE:C>:-U_FORTIFY_SOURCE>
    $<$<COMPILE_LANGUAGE:C>:-D_FORTIFY_SOURCE=3>)
endif()
target_link_options(r3_hardened INTERFACE -pie LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:-z,text
  LINKER:-z,separate-code)
# A program that lies anywhere is relocated at each start: a page of bits instead of twenty of entries.
include(CheckLinkerFlag)
check_linker_flag(C LINKER:-z,pack-relative-relocs R3_PACKED_RELOCATIONS)
if(R3_PACKED_RELOCATIONS)
  target_link_options(r3_hardened INTERFACE LINKER:-z,pack-relative-relocs)
endif()
