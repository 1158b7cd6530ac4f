# What is in the program beside its own code, or is loaded by it: name, version, licence (SPDX), how, Debian's package that
# has the licence's text. From here come `ring3 --version --verbose`, the licences that are installed, and the SBOM.
set(R3_COMPONENTS "")

function(r3_component name version licence how package)
  set(R3_COMPONENTS ${R3_COMPONENTS} "${name}|${version}|${licence}|${how}|${package}" PARENT_SCOPE)
endfunction()

# The version of an archive that pkg-config was not asked for.
function(r3_module_version module result)
  pkg_check_modules(R3_OF_${module} QUIET ${module})
  set(${result} "${R3_OF_${module}_VERSION}" PARENT_SCOPE)
endfunction()

set(how "linked dynamically")
if(R3_STATIC)
  set(how "linked in")
endif()
set(elfutils "LGPL-3.0-or-later OR GPL-2.0-or-later")
r3_component(libseccomp "${DEPS_libseccomp_VERSION}" LGPL-2.1-only ${how} libseccomp-dev)
r3_component(libelf "${DEPS_libelf_VERSION}" "${elfutils}" ${how} libelf-dev)
r3_component(libdw "${DEPS_libdw_VERSION}" "${elfutils}" ${how} libdw-dev)
r3_component(jansson "${DEPS_jansson_VERSION}" MIT ${how} libjansson-dev)
r3_component(zlib "${DEPS_zlib_VERSION}" Zlib ${how} zlib1g-dev)
if(R3_STATIC)
  # What the others' archives bring along.
  foreach(archive IN ITEMS "bz2|bzip2|bzip2|bzip2-1.0.6|libbz2-dev"
      "lzma|liblzma|liblzma|0BSD OR LicenseRef-public-domain|liblzma-dev" "zstd|libzstd|zstd|BSD-3-Clause OR GPL-2.0-only|libzstd-dev")
    string(REPLACE "|" ";" part "${archive}")
    list(POP_FRONT part library module name licence package)
    if(library IN_LIST DEPS_STATIC_LIBRARIES)
      r3_module_version(${module} version)
      if(name STREQUAL "bzip2" AND NOT version) # has no file for pkg-config in older releases
        file(STRINGS /usr/include/bzlib.h version REGEX "version [0-9.]+ of" LIMIT_COUNT 1)
        string(REGEX MATCH "[0-9]+\\.[0-9.]+" version "${version}")
      endif()
      r3_component(${name} "${version}" "${licence}" ${how} ${package})
    endif()
  endforeach()
endif()
r3_module_version(zydis zydis_version)
r3_component(Zydis "${zydis_version}${Zydis_VERSION}" MIT "linked dynamically" libzydis-dev)
r3_component(libunwind "${UNWIND_libunwind-generic_VERSION}" MIT "loaded for backtraces" libunwind-dev)
if(CHART_JS)
  file(STRINGS ${CHART_JS} chart_version REGEX "v[0-9]+\\.[0-9]+\\.[0-9]+" LIMIT_COUNT 1 LENGTH_MAXIMUM 200)
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" chart_version "${chart_version}")
  r3_component(Chart.js "${chart_version}" MIT "in the page of ring3 report" libjs-chart.js)
endif()

set(lines "")
foreach(component ${R3_COMPONENTS})
  string(REPLACE "|" ";" part "${component}")
  list(POP_FRONT part name version licence how)
  string(APPEND lines "R3_COMPONENT(\"${name}\", \"${version}\", \"${licence}\", \"${how}\")\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/components.def CONTENT "${lines}" @ONLY)

# SPDX 2.3, tag and value. Its time is filled in when it is installed.
set(spdx "SPDXVersion: SPDX-2.3
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: ring3-${PROJECT_VERSION}
DocumentNamespace: https://spdx.org/spdxdocs/ring3-${PROJECT_VERSION}
Creator: Tool: cmake
Created: @created@

PackageName: ring3
SPDXID: SPDXRef-ring3
PackageVersion: ${PROJECT_VERSION}
PackageDownloadLocation: NOASSERTION
FilesAnalyzed: false
PackageLicenseConcluded: MIT
PackageLicenseDeclared: MIT
PackageCopyrightText: NOASSERTION
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-ring3
")
set(needs_text "")
foreach(component ${R3_COMPONENTS})
  string(REPLACE "|" ";" part "${component}")
  list(POP_FRONT part name version licence how)
  set(relation DYNAMIC_LINK)
  if(how STREQUAL "linked in")
    set(relation STATIC_LINK)
  elseif(how MATCHES "page")
    set(relation CONTAINS)
  endif()
  if(licence MATCHES LicenseRef-public-domain)
    set(needs_text "
LicenseID: LicenseRef-public-domain
ExtractedText: <text>Put into the public domain by its authors.</text>
")
  endif()
  string(APPEND spdx "
PackageName: ${name}
SPDXID: SPDXRef-${name}
PackageVersion: ${version}
PackageDownloadLocation: NOASSERTION
FilesAnalyzed: false
PackageLicenseConcluded: ${licence}
PackageLicenseDeclared: ${licence}
PackageCopyrightText: NOASSERTION
Relationship: SPDXRef-ring3 ${relation} SPDXRef-${name}
")
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/ring3.spdx.in "${spdx}${needs_text}")
