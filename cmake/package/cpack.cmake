# Read by cpack before it makes a package: times in it follow from the sources.
include(${CPACK_R3_SOURCE}/cmake/package/date.cmake)
r3_source_date(${CPACK_R3_SOURCE} "%s" date)
