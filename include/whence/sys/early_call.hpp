// SPDX-License-Identifier: Apache-2.0
//
// Calls before constructors: of a program before those of all its libraries (.preinit_array), of a
// library before its other ones, inside dlopen. Written in a function, so that there is such a call
// if the function is emitted: what a file does not use costs it nothing.
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
