# The libraries the monitor stands on, as the target r3_deps. Linked from their archives where those are there: the
# dynamic linker's work on six libraries is a fifth of the time from exec to exit of a small guest. Debian has Zydis as
# a shared library only, and the sanitizers want shared libraries.
find_package(PkgConfig REQUIRED)
pkg_check_modules(DEPS REQUIRED libseccomp libdw libelf jansson libunwind-ptrace libunwind-generic)
pkg_check_modules(CMOCKA REQUIRED cmocka)
find_package(Zydis REQUIRED)

option(R3_STATIC_DEPS "link libraries from their archives where there are any" ON)

# What a static link needs differs between releases: pkg-config knows the libraries and their order, and a trial knows
# whether the archives are complete. Where they are not, the shared libraries do.
set(R3_ARCHIVES)
foreach(name ${DEPS_STATIC_LIBRARIES})
  if(name STREQUAL "pthread")
    continue()
  endif()
  find_library(R3_ARCHIVE_${name} NAMES lib${name}.a PATHS ${DEPS_LIBRARY_DIRS})
  mark_as_advanced(R3_ARCHIVE_${name})
  list(APPEND R3_ARCHIVES ${R3_ARCHIVE_${name}})
endforeach()
set(R3_STATIC OFF)
if(R3_STATIC_DEPS AND NOT R3_SANITIZE AND NOT R3_FUZZ AND NOT R3_ARCHIVES MATCHES "NOTFOUND")
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES ${DEPS_INCLUDE_DIRS})
  set(CMAKE_REQUIRED_LIBRARIES ${R3_ARCHIVES})
  set(CMAKE_REQUIRED_FLAGS -fno-pie)
  set(CMAKE_REQUIRED_LINK_OPTIONS -no-pie)
  check_c_source_compiles("
    #include <elfutils/libdwfl.h>
    #include <jansson.h>
    #include <libunwind-ptrace.h>
    #include <seccomp.h>
    int main(void)
    {
      return !dwfl_begin(0) + !elf_begin(0, ELF_C_NULL, 0) + !json_object() + !_UPT_create(0) +
             !unw_create_addr_space(0, 0) + !seccomp_init(0);
    }" R3_ARCHIVES_LINK)
  unset(CMAKE_REQUIRED_INCLUDES)
  unset(CMAKE_REQUIRED_LIBRARIES)
  unset(CMAKE_REQUIRED_FLAGS)
  unset(CMAKE_REQUIRED_LINK_OPTIONS)
  set(R3_STATIC ${R3_ARCHIVES_LINK})
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
