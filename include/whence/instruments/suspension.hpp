// SPDX-License-Identifier: Apache-2.0
//
// A tracked coroutine, and one suspension of it, from just before it can be resumed until it is.
// record/suspension.hpp has the data that is kept of them.
//
// Thread-safe as a coroutine is: one thread at a time. Not for signal handlers. Never allocates
// from the heap, never throws.
#ifndef WHENCE_INSTRUMENTS_SUSPENSION_HPP
#define WHENCE_INSTRUMENTS_SUSPENSION_HPP

#include <cstdint>

#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>

namespace whence::inline v1::instruments {

// Owns the record of a coroutine.
class coroutine_life {
 public:
  coroutine_life() noexcept = default;
  ~coroutine_life() {
    if (record_ != nullptr) recorder_->end_coroutine(*record_);
  }
  coroutine_life(const coroutine_life&) = delete;
  coroutine_life& operator=(const coroutine_life&) = delete;

  // nullptr if it is not tracked: before begin, and if there was no memory (which is counted).
  tables::coroutine_record* record() const noexcept { return record_; }

  // Requires: both have records.
  void awaited_by(const coroutine_life& caller) const noexcept {
    recorder_->await(*record_, *caller.record_);
  }

  // The recorder for its suspensions. Requires: it has a record.
  const recorder& recorded_by() const noexcept { return *recorder_; }

  // Begins the record, counted in `p`, if that is given, at the stack that begins at the frame that
  // returns to `caller`. Requires: as the recorder.
  void begin(profile* p, const void* caller) noexcept {
    recorder_ = recorder_here();
    if (recorder_ != nullptr) record_ = recorder_->begin_coroutine(p, caller);
  }

 private:
  // It is kept, because code of a module that has not found the recorder yet may end the coroutine.
  const recorder* recorder_ = nullptr;
  tables::coroutine_record* record_ = nullptr;
};

class suspension {
 public:
  suspension() noexcept = default;
  // The coroutine is destroyed while it is suspended: it has waited until now.
  ~suspension() { end(); }
  suspension(const suspension&) = delete;
  suspension& operator=(const suspension&) = delete;

  // Requires: `c` has a record. `pc`: the return address of co_await's call. `block`: nullptr, or
  // the profile of the wait this is, with these labels.
  void begin(const coroutine_life& c, std::uintptr_t pc, suspended how, profile* block,
             std::uint32_t labels) noexcept {
    record_ = c.record();
    recorder_ = &c.recorded_by();
    recorder_->suspend(*record_, pc, how, block, labels);
  }

  // The coroutine is resumed.
  void end() noexcept { leave(true); }

  // It did not suspend after all: that was not a wait, though a profile may have shown one.
  void cancel() noexcept { leave(false); }

 private:
  void leave(bool suspended) noexcept {
    tables::coroutine_record* const r = record_;
    record_ = nullptr;
    if (r != nullptr) recorder_->resume(*r, suspended);
  }

  const recorder* recorder_ = nullptr;
  tables::coroutine_record* record_ = nullptr;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_SUSPENSION_HPP
