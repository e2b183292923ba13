// SPDX-License-Identifier: Apache-2.0
//
// What the library needs, and every macro that a program may set. All macros are read in this file
// only, and each becomes a constant. A constant chooses an alias (default_registry, default_gzip,
// ...), never the body or the members of something that keeps its name.
//
//   WHENCE_DISABLE              the instruments become what they wrap; nothing is recorded
//   WHENCE_WITH_ZLIB            1: gzip the profiles with zlib (link -lz)
//   WHENCE_WITH_LIBDW           1: lines and inlined frames by elfutils' libdw (link -ldw -lelf)
//   WHENCE_COMPILED             the bodies of the pages that read (impl/) are compiled once, in the
//                               one source file that includes <whence/src.hpp>
//
// CMake writes what it found into config_generated.hpp; a macro set by hand wins.
#ifndef WHENCE_CONFIG_HPP
#define WHENCE_CONFIG_HPP

// Every public page includes this file before any other, so that the first line a compiler prints
// says what is missing, and not what follows from it.
#ifndef __linux__
#error "whence needs Linux"
#elif !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || \
    !(defined(__x86_64__) || defined(__aarch64__))
#error "whence needs x86-64 or AArch64, little-endian and with pointers of 64 bits"
#elif defined(__clang__) ? __clang_major__ < 14 : __GNUC__ < 11
#error "whence needs GCC 11, Clang 14 or a newer one"
#elif __cplusplus < 202002L
#error "whence needs C++20: compile with -std=c++20 or newer"
#else
#if __has_include(<features.h>)
#include <features.h>
#endif
#if __GLIBC__ * 1000 + __GLIBC_MINOR__ < 2035
#error "whence needs glibc 2.35 or newer, which has _dl_find_object"
#else
#define WHENCE_HAS_WHAT_IT_NEEDS
#endif
#endif

// Compilers go on after #error, and print hundreds of lines more. An include of a file that does
// not exist makes them stop.
#ifndef WHENCE_HAS_WHAT_IT_NEEDS
#include <nothing, since whence cannot be compiled here: see the error above>
#endif
#undef WHENCE_HAS_WHAT_IT_NEEDS

#if __has_include(<whence/config_generated.hpp>)
#include <whence/config_generated.hpp>
#endif

#ifndef WHENCE_WITH_ZLIB
#define WHENCE_WITH_ZLIB 0
#endif
#ifndef WHENCE_WITH_LIBDW
#define WHENCE_WITH_LIBDW 0
#endif

// True if a recording page leaves in a module the note by which its recorder is found.
#ifdef WHENCE_DISABLE
#define WHENCE_RECORDS 0
#else
#define WHENCE_RECORDS 1
#endif

// True if <whence/new_delete.hpp> and <whence/malloc.hpp> define what they are named after. A
// sanitizer's own functions check what they are given, and must not be hidden from it.
#if defined(__has_feature)
#define WHENCE_HAS_FEATURE(name) __has_feature(name)
#else
#define WHENCE_HAS_FEATURE(name) 0
#endif
#if defined(WHENCE_DISABLE) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    WHENCE_HAS_FEATURE(address_sanitizer) || WHENCE_HAS_FEATURE(thread_sanitizer) ||            \
    WHENCE_HAS_FEATURE(memory_sanitizer) || WHENCE_HAS_FEATURE(hwaddress_sanitizer)
#define WHENCE_REPLACES_ALLOCATOR 0
#else
#define WHENCE_REPLACES_ALLOCATOR 1
#endif

// Begins the definition of a function in impl/: its text is the same whether every file that
// includes the page compiles it or one does.
#ifdef WHENCE_COMPILED
#define WHENCE_FUNCTION
#else
#define WHENCE_FUNCTION inline
#endif

// The same for a function that needs much of the library: WHENCE_LAZY begins its declaration. If
// every file compiles it, it is a template, and so are the functions and the classes basic_x<> that
// it uses: a compiler instantiates only those that the file calls, whereas it instantiates
// everything that the body of an inline function names, even if that function is never called.
#ifdef WHENCE_COMPILED
#define WHENCE_LAZY
#define WHENCE_LAZY_FUNCTION
#else
#define WHENCE_LAZY template <class = void>
#define WHENCE_LAZY_FUNCTION template <class>
#endif

namespace whence::inline v1::config {

#ifdef WHENCE_DISABLE
inline constexpr bool disabled = true;
#else
inline constexpr bool disabled = false;
#endif
#ifdef WHENCE_COMPILED
inline constexpr bool compiled = true;
#else
inline constexpr bool compiled = false;
#endif
inline constexpr bool with_zlib = WHENCE_WITH_ZLIB != 0;
inline constexpr bool with_libdw = WHENCE_WITH_LIBDW != 0;

// All settings in one word, by which the translation units of one module are compared.
inline constexpr unsigned disabled_bit = 1;
inline constexpr unsigned settings_word = (disabled ? disabled_bit : 0U) | (with_zlib ? 2U : 0U) |
                                          (with_libdw ? 4U : 0U) | (compiled ? 8U : 0U);

// The instruments of disabled units have another layout, so two units of one module that differ in
// this setting do not agree about the classes they share. They must not be linked.
inline constexpr unsigned layout_bits = disabled_bit;

}  // namespace whence::inline v1::config

// Units that differ in WHENCE_DISABLE do not link. Each has two COMDAT groups: one that has the
// same name in every unit and holds a label, and one that is named after the setting and refers to
// the label of its own unit. A linker keeps the first group of each name. If all units agree, both
// come from the same unit. If not, the second group of the first unit that differs is kept without
// the label it refers to, and bfd, gold and lld report the label, whose name tells why.
//
// The conditions are for link-time optimization, which puts these lines of several units into one
// assembly. The exception is Clang's ThinLTO with lld, which keeps every group:
// state/build_flags_check.hpp then reports the difference at run time. Cost: 4 bytes a module.
#ifdef WHENCE_DISABLE
#define WHENCE_LABEL "whence_error_WHENCE_DISABLE_is_not_defined_in_other_translation_units"
#define WHENCE_OTHER "whence_error_WHENCE_DISABLE_is_defined_in_other_translation_units"
#else
#define WHENCE_LABEL "whence_error_WHENCE_DISABLE_is_defined_in_other_translation_units"
#define WHENCE_OTHER "whence_error_WHENCE_DISABLE_is_not_defined_in_other_translation_units"
#endif
// clang-format off
asm(".ifdef " WHENCE_OTHER "\n"
    ".error \"" WHENCE_LABEL "\"\n"
    ".endif\n"
    ".ifndef " WHENCE_LABEL "\n"
    ".pushsection .rodata." WHENCE_LABEL ",\"aG\",@progbits,whence_disable,comdat\n"
    WHENCE_LABEL ":\n"
    ".popsection\n"
    // The flag R keeps the section in spite of --gc-sections.
    ".pushsection .rodata." WHENCE_LABEL ",\"aGR\",@progbits," WHENCE_LABEL ",comdat\n"
    ".long " WHENCE_LABEL " - .\n"
    ".popsection\n"
    ".endif\n");
// clang-format on
#undef WHENCE_LABEL
#undef WHENCE_OTHER

#endif  // WHENCE_CONFIG_HPP
