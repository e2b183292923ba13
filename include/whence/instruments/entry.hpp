// SPDX-License-Identifier: Apache-2.0
//
// One entry in a custom profile that knows its bucket: what RAII entries are made of. Its end is
// one atomic subtraction, with no map to look in.
//
// Thread-safe: an entry may end on another thread. Never allocates from the heap, never throws.
#ifndef WHENCE_INSTRUMENTS_ENTRY_HPP
#define WHENCE_INSTRUMENTS_ENTRY_HPP

#include <utility>

#include <whence/profile/attach.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>

namespace whence::inline v1::instruments {

class entry {
 public:
  entry() noexcept = default;
  entry(entry&& other) noexcept : bucket_(std::exchange(other.bucket_, nullptr)) {}
  entry& operator=(entry&& other) noexcept {
    if (this != &other) {
      end();
      bucket_ = std::exchange(other.bucket_, nullptr);
    }
    return *this;
  }
  ~entry() { end(); }

  // Ends the entry if it has begun, and begins one at the stack of the caller. An event that is
  // lost leaves it without one.
  [[gnu::noinline]] void begin(profile& p) noexcept {
    end();
    core::process_state* const s = core::state();
    if (s == nullptr) return;
    bucket_ = core::record_stack(*s, p.rows(), {}, __builtin_return_address(0));
    if (bucket_ != nullptr) bucket_->add(core::live_counter, 1);
  }

  void end() noexcept {
    if (bucket_ != nullptr) std::exchange(bucket_, nullptr)->add(core::live_counter, -1);
  }

  bool begun() const noexcept { return bucket_ != nullptr; }

 private:
  stack::bucket* bucket_ = nullptr;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_ENTRY_HPP
