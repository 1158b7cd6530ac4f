# The libraries the monitor stands on, as the target r3_deps. Linked from their archives where those are there: the
# dynamic linker's work on six libraries is a fifth of the time from exec to exit of a small guest. Debian has Zydis as
# a shared library only, and the sanitizers want shared libraries.
find_package(PkgConfig REQUIRED)
pkg_check_modules(DEPS REQUIRED libseccomp libdw libelf jansson libunwind-ptrace libunwind-generic)
pkg_check_modules(CMOCKA REQUIRED cmocka)
find_package(Zydis REQUIRED)

option(R3_STATIC_DEPS "link libraries from their archives where there are any" ON)

# In the order a linker wants them: who needs something comes before who has it.
set(R3_ARCHIVES)
foreach(name seccomp dw elf z bz2 jansson unwind-ptrace unwind-generic unwind lzma)
  find_library(R3_ARCHIVE_${name} NAMES lib${name}.a PATHS ${DEPS_LIBRARY_DIRS})
  mark_as_advanced(R3_ARCHIVE_${name})
  list(APPEND R3_ARCHIVES ${R3_ARCHIVE_${name}})
endforeach()
if(R3_STATIC_DEPS AND NOT R3_SANITIZE AND NOT R3_FUZZ AND NOT R3_ARCHIVES MATCHES "NOTFOUND")
  set(R3_STATIC ON)
else()
  set(R3_STATIC OFF)
endif()

add_library(r3_deps INTERFACE)
target_include_directories(r3_deps SYSTEM INTERFACE ${DEPS_INCLUDE_DIRS})
if(R3_STATIC)
  # Debian's archives are not made for position-independent executables.
  target_compile_options(r3_deps INTERFACE -fno-pie)
  target_link_options(r3_deps INTERFACE -no-pie LINKER:-z,now)
  target_link_libraries(r3_deps INTERFACE ${R3_ARCHIVES} Zydis)
else()
  target_link_libraries(r3_deps INTERFACE ${DEPS_LINK_LIBRARIES} Zydis)
endif()
