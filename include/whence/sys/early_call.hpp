// SPDX-License-Identifier: Apache-2.0
//
// Calls made before constructors: a program makes them before those of all its libraries
// (.preinit_array), a library before its other ones, inside dlopen. The macro is written in a
// function, so the call exists only if the function is emitted: a file pays nothing for what it
// does not use.
#ifndef WHENCE_SYS_EARLY_CALL_HPP
#define WHENCE_SYS_EARLY_CALL_HPP

#include <whence/sys/elf_note.hpp>

// Only programs have a .preinit_array. 101: the first priority that is not the implementation's.
#if defined(__PIC__) && !defined(__PIE__)
#define WHENCE_EARLY_SECTION ".init_array.00101,\"awG\",%%init_array"
#else
#define WHENCE_EARLY_SECTION ".preinit_array,\"awG\",%%preinit_array"
#endif

// `name`: what the call is named in the object; a module keeps one of each name.
#define WHENCE_CALL_EARLY_WITH_FUNCTION(name, function)      \
  asm volatile(".pushsection " WHENCE_EARLY_SECTION "," name \
               ",comdat\n"                                   \
               ".balign 8\n"                                 \
               ".quad %c0\n"                                 \
               ".popsection" ::WHENCE_ADDRESS_OPERAND(function))

#endif  // WHENCE_SYS_EARLY_CALL_HPP
