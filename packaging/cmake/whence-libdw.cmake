# SPDX-License-Identifier: Apache-2.0
#
# Makes whence::libdw if elfutils is found. This file is installed with the package's configuration,
# so that a consumer's machine finds its own copy, and it links by name instead of path, so that a
# static program takes the archives.
if(NOT TARGET whence::libdw)
  find_library(WHENCE_LIBDW NAMES dw DOC "libdw (elfutils): lines and inlined frames for whence")
  find_library(WHENCE_LIBELF NAMES elf DOC "libelf (elfutils), which libdw needs")
  find_path(WHENCE_LIBDW_INCLUDE NAMES elfutils/libdw.h DOC "where elfutils/libdw.h is")
  mark_as_advanced(WHENCE_LIBDW WHENCE_LIBELF WHENCE_LIBDW_INCLUDE)
  if(WHENCE_LIBDW AND WHENCE_LIBELF AND WHENCE_LIBDW_INCLUDE)
    cmake_path(GET WHENCE_LIBDW PARENT_PATH whence_folder)
    add_library(whence::libdw INTERFACE IMPORTED GLOBAL)
    set_target_properties(
      whence::libdw PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${WHENCE_LIBDW_INCLUDE}"
                               INTERFACE_LINK_DIRECTORIES "${whence_folder}"
                               INTERFACE_LINK_LIBRARIES "-ldw;-lelf")
  endif()
endif()
