# How a guest is compiled and linked; the same file in the source tree and in the installed package. The includer
# provides the target pvguest::guest and PVGUEST_LINKER_SCRIPT.

# No SSE in kernel code (traps save general registers only), no red zone (traps push below RSP), no thread-local stack
# canary, addresses fixed below 2 GiB, and unwind tables for the monitor's backtraces.
set(PVGUEST_COMPILE_OPTIONS
  -ffreestanding -fno-pic -fno-pie -mcmodel=small -mno-red-zone -mgeneral-regs-only -fno-stack-protector
  -fcf-protection=none -fasynchronous-unwind-tables -fno-strict-aliasing -O2 -g
  CACHE INTERNAL "compiler options of every guest")
set(PVGUEST_LINK_OPTIONS
  -nostdlib -static -no-pie -Wl,--eh-frame-hdr -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--build-id=none
  CACHE INTERNAL "linker options of every guest")

# pvguest_add_executable(NAME SOURCES...): a guest image, NAME.elf. The sources define int main(const char *cmdline).
function(pvguest_add_executable name)
  add_executable(${name} ${ARGN})
  target_compile_options(${name} PRIVATE ${PVGUEST_COMPILE_OPTIONS})
  target_link_options(${name} PRIVATE ${PVGUEST_LINK_OPTIONS} -Wl,-T,${PVGUEST_LINKER_SCRIPT})
  target_link_libraries(${name} PRIVATE pvguest::guest)
  set_target_properties(${name} PROPERTIES SUFFIX .elf POSITION_INDEPENDENT_CODE OFF
    LINK_DEPENDS ${PVGUEST_LINKER_SCRIPT})
endfunction()
