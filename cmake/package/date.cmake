# The date of the sources, as all that is packaged bears it: SOURCE_DATE_EPOCH if who makes the package has set it, else that
# of the commit, else the beginning of time. Leaves SOURCE_DATE_EPOCH set, for CMake's own archives.
function(r3_source_date source format result)
  if("$ENV{SOURCE_DATE_EPOCH}" STREQUAL "")
    set(date "")
    if(EXISTS ${source}/.git)
      execute_process(COMMAND git -C ${source} log -1 --format=%ct OUTPUT_VARIABLE date ERROR_QUIET
        OUTPUT_STRIP_TRAILING_WHITESPACE)
    endif()
    if(NOT date MATCHES "^[0-9]+$")
      set(date 0)
    endif()
    set(ENV{SOURCE_DATE_EPOCH} ${date})
  endif()
  string(TIMESTAMP date "${format}" UTC)
  set(${result} "${date}" PARENT_SCOPE)
endfunction()
