# `cpack -G DEB` in the build directory: one package of all that `cmake --install` brings.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ring3)
set(CPACK_PACKAGE_CONTACT "The ring3 authors <ring3@localhost>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "virtual machine monitor that is an ordinary process")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Runs guest kernels deprivileged, in ring 3 of ordinary processes: no KVM, no kernel module, no root. With the
guest library pvguest, the kernel tinix, lessons on virtualization, and their documentation.")
set(CPACK_SET_DESTDIR ON) # pages that are made when they are installed name the real places
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
  WORLD_EXECUTE) # whatever umask who makes it has
set(CPACK_R3_SOURCE ${PROJECT_SOURCE_DIR})
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/package/cpack.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION otherosfs)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "busybox-static, cpio")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "gcc, cmake, gdb")
set(CPACK_STRIP_FILES ON)
# libunwind is loaded by name; its package is named after its soname's number.
string(REGEX MATCH "[0-9]+$" number "${R3_UNWIND_GENERIC}")
set(CPACK_DEBIAN_PACKAGE_DEPENDS libunwind${number})
find_program(R3_SHLIBDEPS dpkg-shlibdeps)
mark_as_advanced(R3_SHLIBDEPS)
if(R3_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS ", libc6, libzydis4.0 | libzydis4.1")
endif()
include(CPack)
