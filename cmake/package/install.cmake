# What is installed beside programs and guest library: guests to begin with, lessons, documentation, manual pages,
# completions, licences. The option tables are in the program, so the program writes what follows from them.
set(share ${CMAKE_INSTALL_DATADIR}/ring3)

# Guests, by their targets.
foreach(name hello privileged ticks paging scheduler crash bugs tinix)
  list(APPEND guests ${name})
  install(FILES $<TARGET_FILE:${name}> DESTINATION ${share}/guests COMPONENT guests)
endforeach()
file(GLOB lessons RELATIVE ${PROJECT_SOURCE_DIR}/examples/popek-goldberg ${PROJECT_SOURCE_DIR}/examples/popek-goldberg/[0-9]*.c)
foreach(lesson ${lessons})
  string(REGEX REPLACE "\\.c$" "" lesson lesson-${lesson})
  list(APPEND guests ${lesson} ${lesson}-solution ${lesson}-exercise)
  install(FILES $<TARGET_FILE:${lesson}> DESTINATION ${share}/lessons COMPONENT guests)
  install(FILES $<TARGET_FILE:${lesson}-solution> DESTINATION ${share}/lessons/solutions COMPONENT guests)
endforeach()
install(DIRECTORY ${CMAKE_BINARY_DIR}/lessons/exercises DESTINATION ${share}/lessons COMPONENT guests
  FILES_MATCHING PATTERN "*.c")
add_dependencies(product ${guests})
install(PROGRAMS examples/tinix/mkinitramfs.sh examples/tinix/mkroot.sh DESTINATION ${share}/tinix COMPONENT guests)
# Modes are said, not taken over: the sources have those of somebody's umask.
set(program OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
install(DIRECTORY examples/tinix/rootfs DESTINATION ${share}/tinix COMPONENT guests FILE_PERMISSIONS ${program}
  PATTERN "rootfs/etc/*" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)

# Pages and scripts name the build directory; their installed copies name what is installed.
install(CODE "execute_process(COMMAND \"${PROJECT_SOURCE_DIR}/cmake/package/texts.sh\" \"${PROJECT_SOURCE_DIR}\"
  \"${CMAKE_BINARY_DIR}/package/texts\" \"\${CMAKE_INSTALL_PREFIX}\" \"${CMAKE_INSTALL_BINDIR}\"
  \"${CMAKE_INSTALL_DATADIR}\" \"${CMAKE_INSTALL_DOCDIR}\" COMMAND_ERROR_IS_FATAL ANY)" COMPONENT doc)
install(DIRECTORY ${CMAKE_BINARY_DIR}/package/texts/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc
  PATTERN "*.sh" PERMISSIONS ${program})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc PATTERN "*.md" EXCLUDE)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc FILES_MATCHING PATTERN rootfs EXCLUDE
  PATTERN "*.[chS]" PATTERN "*.def" PATTERN "*.rs" PATTERN "*.cpp")

# Manual pages and completions.
set(made ${CMAKE_BINARY_DIR}/package)
file(MAKE_DIRECTORY ${made})
set(pages "")
function(r3_made file)
  add_custom_command(OUTPUT ${made}/${file} COMMAND sh -c "exec \"$0\" help \"$@\" >'${made}/${file}'"
    $<TARGET_FILE:ring3> ${ARGN} DEPENDS ring3 VERBATIM)
  set(pages ${pages} ${made}/${file} PARENT_SCOPE)
endfunction()
r3_made(ring3.1 --man)
set(manual ${made}/ring3.1)
foreach(verb run report top new doctor classify bench compare lockstep)
  r3_made(ring3-${verb}.1 --man ${verb})
  list(APPEND manual ${made}/ring3-${verb}.1)
endforeach()
r3_made(completion.bash --completion bash)
r3_made(completion.zsh --completion zsh)
add_custom_target(package_pages DEPENDS ${pages})
add_dependencies(product package_pages)
install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT doc)
install(FILES ${made}/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ring3
  COMPONENT doc)
install(FILES ${made}/completion.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _ring3
  COMPONENT doc)

# Licences: ring3's own, and the texts that Debian's packages have of what is linked in or loaded.
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT ring3)
install(CODE "set(source \"${PROJECT_SOURCE_DIR}\")
include(\"\${source}/cmake/package/date.cmake\")
r3_source_date(\"\${source}\" \"%Y-%m-%dT%H:%M:%SZ\" created)
configure_file(\"${CMAKE_BINARY_DIR}/ring3.spdx.in\" \"${CMAKE_BINARY_DIR}/ring3.spdx\" @ONLY)" COMPONENT ring3)
install(FILES ${CMAKE_BINARY_DIR}/ring3.spdx DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT ring3)
foreach(component ${R3_COMPONENTS})
  string(REPLACE "|" ";" part "${component}")
  list(GET part 0 name)
  list(GET part -1 package)
  if(EXISTS /usr/share/doc/${package}/copyright)
    install(FILES /usr/share/doc/${package}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR}/licences RENAME ${name}
      COMPONENT ring3)
  endif()
endforeach()
