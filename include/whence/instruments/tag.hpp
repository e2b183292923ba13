// SPDX-License-Identifier: Apache-2.0
//
// A tagged block is asked for larger than needed and handed out at its first page boundary, so that
// its address tells that it may be sampled.
//
//   upstream's:  |<- shift ->|<------ handed out: n objects ------>| rest of the slack |
//                            ^ multiple of 4096
//
// Alignment alone is no proof (an allocator also hands out page-aligned blocks of its own accord),
// hence the filter and the live map behind it. Without them the free lists of one allocator made it
// 8x slower.
#ifndef WHENCE_INSTRUMENTS_TAG_HPP
#define WHENCE_INSTRUMENTS_TAG_HPP

#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/instruments/hot_words.hpp>

namespace whence::inline v1::instruments {

template <class T>
struct tagged_block {
  T* it = nullptr;
  std::uint16_t shift = 0;  // bytes

  T* upstreams() const noexcept {
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(it) - shift);
  }
};

// The block that `ask` gets with room for a page more than needed; empty if it throws
// std::bad_alloc.
template <class T, class Ask>
tagged_block<T> try_tag(Ask ask) {
  std::uintptr_t begin = 0;
#if defined(__cpp_exceptions)
  try {
    begin = reinterpret_cast<std::uintptr_t>(ask());
  } catch (const std::bad_alloc&) {
    return {};  // the plain request follows, and throws by itself
  }
#else
  begin = reinterpret_cast<std::uintptr_t>(ask());
#endif
  const std::uintptr_t boundary = (begin + tag_alignment - 1) & ~std::uintptr_t{tag_alignment - 1};
  return {reinterpret_cast<T*>(boundary), static_cast<std::uint16_t>(boundary - begin)};
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_TAG_HPP
