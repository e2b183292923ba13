// SPDX-License-Identifier: Apache-2.0
//
// Every macro a program may set, read here and nowhere else, and turned into a constant. Each
// constant chooses an alias (default_registry, default_gzip, ...), never the body or the members of
// something that keeps its name, so that mixed settings cannot silently change a layout.
//
//   WHENCE_DISABLE              the instruments become what they wrap; nothing is recorded
//   WHENCE_WITH_ZLIB            1: gzip the profiles with zlib (link -lz)
//   WHENCE_WITH_LIBBACKTRACE    1: lines and inlined frames by libbacktrace (link -lbacktrace)
//   WHENCE_COMPILED             the bodies of the pages that read (impl/) are compiled once, in the
//                               one source file that includes <whence/src.hpp>
//
// CMake writes what it found into config_generated.hpp; a macro set by hand wins.
#ifndef WHENCE_CONFIG_HPP
#define WHENCE_CONFIG_HPP

#if __has_include(<whence/config_generated.hpp>)
#include <whence/config_generated.hpp>
#endif

#ifndef WHENCE_WITH_ZLIB
#define WHENCE_WITH_ZLIB 0
#endif
#ifndef WHENCE_WITH_LIBBACKTRACE
#define WHENCE_WITH_LIBBACKTRACE 0
#endif

// Begins the definition of a function in impl/: its text is the same whether every file that
// includes the page compiles it or one does.
#ifdef WHENCE_COMPILED
#define WHENCE_FUNCTION
#else
#define WHENCE_FUNCTION inline
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
inline constexpr bool with_libbacktrace = WHENCE_WITH_LIBBACKTRACE != 0;

// One word for all of them: what translation units of one program are compared by.
inline constexpr unsigned settings_word =
    (disabled ? 1U : 0U) | (with_zlib ? 2U : 0U) | (with_libbacktrace ? 4U : 0U);

}  // namespace whence::inline v1::config

#endif  // WHENCE_CONFIG_HPP
