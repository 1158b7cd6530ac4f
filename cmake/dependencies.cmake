# The libraries the monitor stands on, as the target r3_deps. Linked from their archives where those are there: the
# dynamic linker's work on six libraries is a fifth of the time from exec to exit of a small guest. Debian has Zydis as
# a shared library only, and the sanitizers want shared libraries.
find_package(PkgConfig REQUIRED)
pkg_check_modules(DEPS REQUIRED libseccomp libdw libelf jansson zlib)
pkg_check_modules(UNWIND REQUIRED libunwind-ptrace libunwind-generic)
pkg_check_modules(CMOCKA REQUIRED cmocka)
find_package(Zydis REQUIRED)
find_file(CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js) # optional

# libunwind's archives are not position-independent, and few guests need it: loaded by name when one does.
function(r3_soname library result)
  find_library(R3_LIBRARY_${library} NAMES ${library} PATHS ${UNWIND_LIBRARY_DIRS} REQUIRED)
  mark_as_advanced(R3_LIBRARY_${library})
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${R3_LIBRARY_${library}} OUTPUT_VARIABLE headers
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "SONAME +([^\n]+)" found "${headers}")
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()
r3_soname(unwind-generic R3_UNWIND_GENERIC)
r3_soname(unwind-ptrace R3_UNWIND_PTRACE)

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
if(R3_STATIC_DEPS AND NOT R3_SANITIZE AND NOT R3_ARCHIVES MATCHES "NOTFOUND")
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES ${DEPS_INCLUDE_DIRS})
  set(CMAKE_REQUIRED_LIBRARIES ${R3_ARCHIVES})
  set(CMAKE_REQUIRED_FLAGS -fPIE)
  set(CMAKE_REQUIRED_LINK_OPTIONS -pie LINKER:-z,text)
  check_c_source_compiles("
    #include <elfutils/libdwfl.h>
    #include <jansson.h>
    #include <seccomp.h>
    #include <zlib.h>
    int main(void)
    {
      return !dwfl_begin(0) + !elf_begin(0, ELF_C_NULL, 0) + !json_object() + !seccomp_init(0) + !zlibVersion();
    }" R3_ARCHIVES_LINK)
  unset(CMAKE_REQUIRED_INCLUDES)
  unset(CMAKE_REQUIRED_LIBRARIES)
  unset(CMAKE_REQUIRED_FLAGS)
  unset(CMAKE_REQUIRED_LINK_OPTIONS)
  set(R3_STATIC ${R3_ARCHIVES_LINK})
endif()

add_library(r3_deps INTERFACE)
target_include_directories(r3_deps SYSTEM INTERFACE ${DEPS_INCLUDE_DIRS} ${UNWIND_INCLUDE_DIRS})
if(R3_STATIC)
  target_link_libraries(r3_deps INTERFACE ${R3_ARCHIVES} Zydis)
else()
  target_link_libraries(r3_deps INTERFACE ${DEPS_LINK_LIBRARIES} Zydis)
endif()
