# How a guest is compiled and linked; the same file in the source tree and in the installed package. The includer
# provides the target pvguest::guest, PVGUEST_LINKER_SCRIPT and PVGUEST_HIGH_LINKER_SCRIPT.

# No SSE in kernel code (traps save general registers only), no red zone (traps push below RSP), no thread-local stack
# canary, position-independent so that it can be linked beyond 2 GiB, and unwind tables for the monitor's backtraces.
set(PVGUEST_COMPILE_OPTIONS
  -ffreestanding -fpie -mno-red-zone -mgeneral-regs-only -fno-stack-protector
  -fcf-protection=none -fasynchronous-unwind-tables -fno-strict-aliasing -O2 -g
  CACHE INTERNAL "compiler options of every guest")
# No relaxation: it would turn addresses from the GOT into 32-bit constants, which those of the high layout are not.
set(PVGUEST_LINK_OPTIONS
  -nostdlib -static -no-pie -Wl,--no-relax -Wl,--eh-frame-hdr -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--build-id=none
  CACHE INTERNAL "linker options of every guest")

# pvguest_add_executable(NAME [HIGH] SOURCES...): a guest image, NAME.elf. The sources define int main(const char *cmdline).
# HIGH leaves the low addresses to user programs (pvguest-high.lds).
function(pvguest_add_executable name)
  cmake_parse_arguments(G "HIGH" "" "" ${ARGN})
  set(script ${PVGUEST_LINKER_SCRIPT})
  if(G_HIGH)
    set(script ${PVGUEST_HIGH_LINKER_SCRIPT})
  endif()
  add_executable(${name} ${G_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE ${PVGUEST_COMPILE_OPTIONS})
  target_link_options(${name} PRIVATE ${PVGUEST_LINK_OPTIONS} -Wl,-T,${script})
  target_link_libraries(${name} PRIVATE pvguest::guest)
  set_target_properties(${name} PROPERTIES SUFFIX .elf POSITION_INDEPENDENT_CODE OFF LINK_DEPENDS ${script})
endfunction()
