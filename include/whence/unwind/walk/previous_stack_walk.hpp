// SPDX-License-Identifier: Apache-2.0
//
// A walk that follows the previous stack as far as it is the same, and brings the record of it up
// to date. It begins with rules; once the frame in hand is also in the record, it goes from one
// recorded frame to the next as long as their words are the same, and goes on with rules from
// there.
//
// The interface is walk's. Signal-safe. Never allocates.
#ifndef WHENCE_UNWIND_WALK_PREVIOUS_STACK_WALK_HPP
#define WHENCE_UNWIND_WALK_PREVIOUS_STACK_WALK_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/modules/module_memory.hpp>
#include <whence/unwind/walk/previous_stack.hpp>
#include <whence/unwind/walk/rule_walk.hpp>
#include <whence/unwind/walk/stack_memory.hpp>

namespace whence::inline v1::unwind {

class previous_stack_walk {
 public:
  previous_stack_walk(rule_walk<trusted_memory>& by_rules, previous_stack& m) noexcept
      : walk_(by_rules), memo_(m) {
    if (memo_.end != walk_.own_stack_end()) memo_.size = 0;
    memo_.end = walk_.own_stack_end();
    had_ = memo_.size;
  }

  bool start() noexcept { return walk_.start(); }

  // Walks without the record.
  bool restart() noexcept {
    following_ = searching_ = recording_ = false;
    memo_.size = 0;
    return walk_.restart();
  }

  template <class Visit>
  [[gnu::always_inline]] bool climb_while(Visit visit) noexcept {
    for (;;) {
      if (following_) {
        const memo_frame* f = memo_.frames + at_;
        const memo_frame* const last = memo_.frames + memo_.size - 1;
        for (;; ++f) {
          if (!visit(f->pc)) {
            at_ = static_cast<std::size_t>(f - memo_.frames);
            return true;
          }
          if (f == last) break;
          if (plain_code_address(load_word(memo_.end - f->ra_at)) != f[1].pc) break;
          if (f->fp_at != 0 && load_word(memo_.end - f->fp_at) != f[1].fp) break;
        }
        // Goes on with rules from here; this frame was visited, so the walk leaves it at once.
        reused_ = static_cast<std::size_t>(f - memo_.frames) - first_reused_ + 1;
        memo_.size = static_cast<std::size_t>(f - memo_.frames);
        following_ = false;
        recording_ = true;
        if (!walk_.take({f->pc, memo_.end - f->sp, f->fp})) return false;
        if (!climb_one()) return false;
      } else {
        if (!visit(walk_.in_hand().pc)) return true;
        if (!climb_one()) return false;
      }
    }
  }

  stop_reason end() const noexcept { return walk_.end(); }
  bool met_plugin() const noexcept { return walk_.met_plugin(); }
  bool guessed() const noexcept { return walk_.guessed(); }
  bool needs_exact() const noexcept { return walk_.needs_exact(); }

  // Tells whether there was a stack, and whether the record saved more than it cost: a new frame
  // costs what two reused ones save, the record itself what nine save.
  bool had_stack() const noexcept { return had_ > 0; }
  bool useful() const noexcept { return reused_ > 2 * fresh_ + 9; }

 private:
  static constexpr std::size_t most_fresh = 24;

  std::uint32_t below_end(std::uintptr_t address) const noexcept {
    return static_cast<std::uint32_t>(memo_.end - address);
  }

  // Climbs from the frame in hand by its rule, and records it; then looks for the caller in the
  // record.
  bool climb_one() noexcept {
    const registers from = walk_.in_hand();
    const rule q = walk_.permanent_rule();
    memo_frame f{from.pc, from.fp, below_end(from.sp), 0, 0};
    const bool climbed = walk_.step();
    const registers& to = walk_.in_hand();
    const bool notable = climbed && q.is_frame();
    if (notable) {
      f.ra_at = below_end(saved_ra(q, to.sp));
      f.fp_at = saves_fp(q) ? below_end(saved_fp(q, to.sp)) : 0;
    }
    if (recording_) {
      // How the last frame was left does not matter.
      memo_.frames[memo_.size++] = f;
      recording_ = notable && memo_.size < previous_stack::capacity;
      return climbed;
    }
    if (!searching_ || !climbed) return climbed;
    if (!notable || fresh_ == most_fresh) {
      searching_ = false;
      memo_.size = 0;
      return true;
    }
    fresh_frames_[fresh_++] = f;
    if (had_ == 0) return begin_recording();
    while (searched_ < memo_.size && memo_.frames[searched_].sp > below_end(to.sp)) ++searched_;
    if (searched_ == memo_.size) return true;
    const memo_frame& known = memo_.frames[searched_];
    if (known.sp == below_end(to.sp) && known.pc == to.pc && known.fp == to.fp) follow();
    return true;
  }

  // The frames so far replace those above the known one.
  void follow() noexcept {
    if (memo_.size - searched_ + fresh_ > previous_stack::capacity)
      memo_.size = previous_stack::capacity - fresh_ + searched_;
    if (fresh_ != searched_) {
      std::memmove(memo_.frames + fresh_, memo_.frames + searched_,
                   (memo_.size - searched_) * sizeof(memo_frame));
    }
    memo_.size = memo_.size - searched_ + fresh_;
    std::memcpy(memo_.frames, fresh_frames_, fresh_ * sizeof(memo_frame));
    at_ = first_reused_ = fresh_;
    following_ = true;
    searching_ = false;
  }

  bool begin_recording() noexcept {
    memo_.size = fresh_;
    std::memcpy(memo_.frames, fresh_frames_, fresh_ * sizeof(memo_frame));
    recording_ = true;
    searching_ = false;
    return true;
  }

  rule_walk<trusted_memory>& walk_;
  previous_stack& memo_;
  std::size_t had_;
  std::size_t at_ = 0;  // recorded frame in hand
  std::size_t first_reused_ = 0;
  std::size_t reused_ = 0;
  std::size_t searched_ = 0;  // all frames before it are above the one in hand
  std::size_t fresh_ = 0;
  bool following_ = false;  // the frame in hand is a recorded one
  bool searching_ = true;   // the frames so far are in fresh_frames_
  bool recording_ = false;  // the recorded frames are those so far
  memo_frame fresh_frames_[most_fresh];
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_PREVIOUS_STACK_WALK_HPP
