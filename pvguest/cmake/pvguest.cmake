# How a guest is compiled and linked; the same file in the source tree and in the installed package. The includer
# provides the target pvguest::guest, PVGUEST_LINKER_SCRIPT and PVGUEST_HIGH_LINKER_SCRIPT.

# No SSE in kernel code (traps save general registers only), no red zone (traps push below RSP), no thread-local stack
# canary, position-independent so that it can be linked beyond 2 GiB, and unwind tables for the monitor's backtraces.
set(PVGUEST_COMPILE_OPTIONS
  -ffreestanding -fpie -mno-red-zone -mgeneral-regs-only -fno-stack-protector
  -fcf-protection=none -fasynchronous-unwind-tables -fno-strict-aliasing -O2 -g
  # C++: nothing that needs a runtime; constructors and destructors run.
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>
  $<$<COMPILE_LANGUAGE:CXX>:-fno-threadsafe-statics>
  CACHE INTERNAL "compiler options of every guest")
# No relaxation: it would turn addresses from the GOT into 32-bit constants, which those of the high layout are not.
set(PVGUEST_LINK_OPTIONS
  -nostdlib -static -no-pie -Wl,--no-relax -Wl,--eh-frame-hdr -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--build-id=none
  CACHE INTERNAL "linker options of every guest")

# pvguest_add_executable(NAME [HIGH|UPPER] SOURCES...): a guest image, NAME.elf. The sources define int main(const char *cmdline).
# HIGH leaves the low addresses to user programs (pvguest-high.lds); UPPER does so in the upper half.
function(pvguest_add_executable name)
  cmake_parse_arguments(G "HIGH;UPPER" "" "" ${ARGN})
  set(script ${PVGUEST_LINKER_SCRIPT})
  set(linked "")
  if(G_HIGH OR G_UPPER)
    set(script ${PVGUEST_HIGH_LINKER_SCRIPT})
  endif()
  add_executable(${name} ${G_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE ${PVGUEST_COMPILE_OPTIONS})
  if(G_UPPER)
    set(linked -Wl,--defsym=pvg_linked_base=0xffff900000000000) # before the script that asks for it
  endif()
  target_link_options(${name} PRIVATE ${PVGUEST_LINK_OPTIONS} ${linked} -Wl,-T,${script})
  target_link_libraries(${name} PRIVATE pvguest::guest)
  set_target_properties(${name} PROPERTIES SUFFIX .elf POSITION_INDEPENDENT_CODE OFF LINK_DEPENDS ${script})
endfunction()

# pvguest_add_rust_executable(NAME SOURCE.rs): a guest written in Rust, no_std, which defines main as C does. rustc makes a
# static library of it; the freestanding target is taken where it is installed, since it knows no SSE.
function(pvguest_add_rust_executable name source)
  find_program(PVGUEST_RUSTC rustc REQUIRED)
  get_filename_component(source ${source} ABSOLUTE)
  set(library ${CMAKE_CURRENT_BINARY_DIR}/${name}.rust.a)
  set(empty ${CMAKE_CURRENT_BINARY_DIR}/${name}.empty.c)
  set(target x86_64-unknown-none)
  execute_process(COMMAND ${PVGUEST_RUSTC} --print target-libdir --target ${target}
    OUTPUT_VARIABLE libdir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT EXISTS "${libdir}")
    set(target x86_64-unknown-linux-gnu)
  endif()
  string(MAKE_C_IDENTIFIER ${name} crate)
  get_filename_component(folder ${source} DIRECTORY)
  file(GLOB modules ${folder}/*.rs)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}) # its time changes when a module comes
  add_custom_command(OUTPUT ${library}
    COMMAND ${PVGUEST_RUSTC} --edition 2021 --target ${target} --crate-type staticlib --crate-name ${crate} -C panic=abort
      -C opt-level=2 -C debuginfo=2 -C relocation-model=pic -C no-redzone=yes
      --remap-path-prefix ${folder}/= -o ${library} ${source}
    DEPENDS ${modules} VERBATIM)
  file(GENERATE OUTPUT ${empty} CONTENT "/* all of it is in Rust */\n")
  add_custom_target(${name}.rust DEPENDS ${library})
  pvguest_add_executable(${name} ${empty})
  add_dependencies(${name} ${name}.rust)
  # The library, which comes last, asks for main; it is to be found before.
  target_link_options(${name} PRIVATE -Wl,-u,main)
  target_link_libraries(${name} PRIVATE ${library})
  set_target_properties(${name} PROPERTIES LINK_DEPENDS "${PVGUEST_LINKER_SCRIPT};${library}")
endfunction()
