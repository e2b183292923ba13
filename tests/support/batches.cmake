# SPDX-License-Identifier: Apache-2.0
#
# Little of the time to compile a test file is spent on the test. The rest goes to the headers, which
# are the same for all tests, and to the library's bodies, which are the same for all tests that call
# them. So headers are parsed once, as a precompiled header, and two dozen test files are one
# translation unit, which compiles each body once. They are the same tests of the same code.
#
# Each file of a unit is in a namespace of its own, so helpers of different tests may have equal
# names. This is possible because the precompiled header has all that the files include.

# Otherwise the precompiled header is a system's, and no compiler warns of our headers.
set(CMAKE_PCH_PROLOGUE "")

# whence_compile_in_batches(TARGET SOURCES... [NAMED SOURCES...]): the second ones have functions or
# types whose whole names they compare. They are one unit without such namespaces, in the order in
# which they are listed, so what they have outside of functions must differ in its names.
function(whence_compile_in_batches target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" NAMED)
  set(included "")
  foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
    cmake_path(GET source PARENT_PATH folder)
    file(STRINGS ${source} lines REGEX "^#include ")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "^#include ([<\"])([^>\"]+)" line "${line}")
      set(header ${CMAKE_MATCH_2})
      if(CMAKE_MATCH_1 STREQUAL "<")
        list(APPEND included <${header}>)
      else()
        # A fixture beside the file, or one that is named by its place under tests/.
        set(base ${CMAKE_CURRENT_SOURCE_DIR})
        if(EXISTS ${base}/${folder}/${header})
          string(APPEND base /${folder})
        endif()
        cmake_path(ABSOLUTE_PATH header BASE_DIRECTORY ${base} NORMALIZE)
        list(APPEND included ${header})
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES included)
  list(SORT included)

  target_precompile_headers(${target} PRIVATE ${included})
  set_target_properties(
    ${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 24 UNITY_BUILD_UNIQUE_ID whence_file
                         UNITY_BUILD_CODE_BEFORE_INCLUDE "namespace whence_file {"
                         UNITY_BUILD_CODE_AFTER_INCLUDE "}")

  set(unit ${CMAKE_CURRENT_BINARY_DIR}/${target}_named.cpp)
  list(TRANSFORM arg_NAMED PREPEND "#include \"${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE lines)
  list(TRANSFORM lines APPEND "\"\n")
  list(JOIN lines "" lines)
  file(CONFIGURE OUTPUT ${unit} CONTENT "${lines}" @ONLY)
  target_sources(${target} PRIVATE ${unit})
  set_source_files_properties(${unit} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set_source_files_properties(${arg_NAMED} PROPERTIES HEADER_FILE_ONLY ON)
endfunction()
