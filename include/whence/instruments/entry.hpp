// SPDX-License-Identifier: Apache-2.0
//
// One entry in a custom profile that remembers the counter in which it is counted. RAII entries are
// made of it. Its end is one atomic subtraction, without a search in a map.
//
// Thread-safe: an entry may end on another thread. Never allocates from the heap, never throws.
#ifndef WHENCE_INSTRUMENTS_ENTRY_HPP
#define WHENCE_INSTRUMENTS_ENTRY_HPP

#include <cstdint>

#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

class entry {
 public:
  entry() noexcept = default;
  entry(entry&& other) noexcept : counted_(other.counted_) { other.counted_ = nullptr; }
  entry& operator=(entry&& other) noexcept {
    if (this != &other) {
      end();
      counted_ = other.counted_;
      other.counted_ = nullptr;
    }
    return *this;
  }
  ~entry() { end(); }

  // Ends the entry if it has begun, and begins one at the stack of the caller. If the event is
  // lost, there is no entry.
  [[gnu::noinline]] void begin(profile& p) noexcept {
    end();
    const recorder* const r = recorder_here();
    if (r != nullptr) counted_ = r->begin_entry(p, __builtin_return_address(0));
  }

  // The order is release, so that a reader that sees the end counted sees the begin counted too.
  void end() noexcept {
    if (counted_ != nullptr) counted_->fetch_sub(1, sys::release);
    counted_ = nullptr;
  }

  bool begun() const noexcept { return counted_ != nullptr; }

 private:
  sys::atomic_word<std::int64_t>* counted_ = nullptr;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_ENTRY_HPP
