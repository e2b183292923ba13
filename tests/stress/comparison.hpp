// SPDX-License-Identifier: Apache-2.0
//
// A handler's notes on one sample, and their later evaluation: counts and examples of the
// differences, by kind of load, by cause, and a table of everything.
#ifndef WHENCE_TESTS_STRESS_COMPARISON_HPP
#define WHENCE_TESTS_STRESS_COMPARISON_HPP

#include <unwind.h>

#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "code_map.hpp"
#include "load.hpp"
#include "walkers.hpp"
#include <whence/unwind/stop_reason.hpp>

namespace stress {

enum method { ours, libgcc, by_libunwind, frame_pointers, methods };
inline constexpr const char* names[methods] = {"whence", "libgcc", "libunwind", "frame pointers"};

struct sample {
  stack stacks[methods];
  bool crashed[methods];
  whence::unwind::stop_reason end;
  bool leaf_is_ip;
  bool truncated;
  std::uintptr_t pc;
  int kind;
};

class comparison {
 public:
  // `restorer` is the code a handler returns to.
  comparison(const root_functions& roots, const executable_memory& executable,
             std::uintptr_t restorer)
      : roots_(roots), executable_(executable), restorer_(restorer) {}

  void add(const sample& s) {
    ++samples_;
    bool complete[methods];
    for (int m = 0; m < methods; ++m) {
      complete[m] = !s.crashed[m] && roots_.ends(s.stacks[m]);
      complete_[m] += complete[m];
      crashed_[m] += s.crashed[m];
      frames_[m] += s.stacks[m].depth;
    }
    ++of_kind_[s.kind].samples;
    for (int m = 0; m < methods; ++m) of_kind_[s.kind].complete[m] += complete[m];
    truncated_ += s.truncated;
    wrong_leaf_ += !s.leaf_is_ip || s.stacks[ours].depth == 0 || s.stacks[ours].pcs[0] != s.pc;
    if (!complete[ours] && ++incomplete_[why(s)] == 1) note("incomplete", show_end(s.stacks[ours]));
    ended_ += s.end == whence::unwind::stop_reason::root && !complete[ours];
    look_at_frames(s.stacks[ours], throws_now(s.pc));
    compare(s, complete[libgcc]);
  }

  std::uint64_t samples() const noexcept { return samples_; }

  bool report(std::uint64_t wanted, std::uint64_t lost, bool has_libunwind) const {
    std::printf("%" PRIu64 " samples of %" PRIu64 ", %" PRIu64 " not taken (no room)\n", samples_,
                wanted, lost);
    std::printf("%-16s %10s %10s %9s %14s\n", "", "complete", "%", "crashes", "frames/sample");
    for (int m = 0; m < methods; ++m) {
      if (m == by_libunwind && !has_libunwind) continue;
      std::printf("%-16s %10" PRIu64 " %10.4f %9" PRIu64 " %14.2f\n", names[m], complete_[m],
                  percent(complete_[m], samples_), crashed_[m],
                  static_cast<double>(frames_[m]) / static_cast<double>(samples_ ? samples_ : 1));
    }
    std::printf("\n%-16s %10s", "% by kind of load", "samples");
    for (const char* name : names) std::printf(" %15s", name);
    for (int k = 0; k < load::kinds; ++k) {
      const auto& [samples, complete] = of_kind_[k];
      std::printf("\n%-16s %10" PRIu64, load::names[k], samples);
      for (const std::uint64_t c : complete) std::printf(" %15.3f", percent(c, samples));
    }
    std::printf("\n\nagainst libgcc: equal %" PRIu64 ", ours longer %" PRIu64
                ", ours shorter %" PRIu64 ", last frame differs %" PRIu64
                ", interior frame differs %" PRIu64 ", where its information is not true %" PRIu64
                "\n",
                equal_, longer_, shorter_, last_differs_, interior_, untold_);
    std::printf("frames outside executable memory %" PRIu64 ", not behind a call %" PRIu64
                "; first frame not the interrupted one %" PRIu64 "; truncated %" PRIu64
                "; said to be complete but not %" PRIu64 "\n",
                outside_, not_called_, wrong_leaf_, truncated_, ended_);
    for (const auto& [kind, texts] : examples_) {
      for (const std::string& text : texts) std::printf("%s: %s\n", kind.c_str(), text.c_str());
    }
    if (!incomplete_.empty()) std::printf("incomplete, by cause, leaf and last frame:\n");
    std::vector<std::pair<std::uint64_t, std::string>> causes;
    for (const auto& [cause, count] : incomplete_) causes.emplace_back(count, cause);
    std::sort(causes.rbegin(), causes.rend());
    for (const auto& [count, cause] : causes)
      std::printf("%8" PRIu64 "  %s\n", count, cause.c_str());
    const bool fine = samples_ >= wanted && percent(complete_[ours], samples_) >= 99.85 &&
                      complete_[ours] >= complete_[libgcc] && interior_ == 0 && outside_ == 0 &&
                      not_called_ == 0 && wrong_leaf_ == 0 && crashed_[ours] == 0;
    std::printf("%s\n", fine ? "passed" : "FAILED");
    return fine;
  }

 private:
  static constexpr std::size_t most_examples = 10;

  static double percent(std::uint64_t part, std::uint64_t all) noexcept {
    return all == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(all);
  }

  // The name of a function, without the offset if that is possible.
  static std::string function_name(std::uintptr_t address) {
    const std::uintptr_t start = function_before(address + 1);
    return start != 0 ? describe(start) : describe(address) + ", no call-frame information";
  }

  std::string why(const sample& s) const {
    const stack& k = s.stacks[ours];
    if (s.crashed[ours]) return "crash | " + function_name(s.pc);
    std::string text = whence::unwind::stop_reason_texts[static_cast<int>(s.end)];
    text += " | " + function_name(s.pc);
    if (k.depth > 1) text += " | " + function_name(k.pcs[k.depth - 1] - 1);
    return text;
  }

  void note(const std::string& kind, const std::string& text) {
    std::vector<std::string>& texts = examples_[kind];
    if (texts.size() < most_examples) texts.push_back(text);
  }

  // When an exception lands, its landing pad replaces a return address.
  static bool throws_now(std::uintptr_t pc) noexcept {
    const std::uintptr_t f = function_before(pc + 1);
    return f == reinterpret_cast<std::uintptr_t>(&_Unwind_Resume) ||
           f == reinterpret_cast<std::uintptr_t>(&_Unwind_Resume_or_Rethrow) ||
           f == reinterpret_cast<std::uintptr_t>(&_Unwind_RaiseException);
  }

  void look_at_frames(const stack& k, bool throws) {
    for (std::size_t i = 0; i < k.depth; ++i) {
      const std::uintptr_t pc = k.pcs[i];
      if (!executable_.holds(i == 0 ? pc : pc - 1)) {
        ++outside_;
        note("outside executable memory", show(k, i));
      }
      const bool called = i > 0 && i + 1 < k.depth && pc != restorer_ && !is_restorer(k.pcs[i - 1]);
      if (called && !throws && !follows_call(pc)) {
        ++not_called_;
        note("not behind a call", show(k, i));
      }
    }
  }

  // It has two instructions; as a leaf it may be at either.
  bool is_restorer(std::uintptr_t pc) const noexcept { return pc - restorer_ < 16; }

  bool follows_call(std::uintptr_t pc) const {
#if defined(__x86_64__)
    const auto* const at = reinterpret_cast<const unsigned char*>(pc);
    if (!executable_.holds(pc - 7)) return true;
    if (at[-5] == 0xe8) return true;
    for (int length = 2; length <= 7; ++length) {  // ff /2, by the length of its operand
      if (at[-length] != 0xff || (at[1 - length] >> 3 & 7) != 2) continue;
      const int mode = at[1 - length] >> 6, operand = at[1 - length] & 7;
      const bool indexed = mode != 3 && operand == 4;
      const bool relative = mode == 0 && (indexed ? (at[2 - length] & 7) == 5 : operand == 5);
      if (length == 2 + indexed + (mode == 1) + (mode == 2 || relative ? 4 : 0)) return true;
    }
    return false;
#else
    return pc != 0;
#endif
  }

  // Some frames around frame `at`.
  static std::string show(const stack& k, std::size_t at) {
    std::string text = std::to_string(k.depth) + " frames";
    for (std::size_t i = at > 2 ? at - 2 : 0; i < k.depth && i < at + 3; ++i) {
      text += "\n    " + std::to_string(i) + (i == at ? " > " : "   ") +
              describe(k.pcs[i] - (i > 0 ? 1 : 0));
    }
    return text;
  }

  static std::string show_end(const stack& k) {
    return show(k, k.depth == 0 ? 0 : k.depth - 1);
  }

  void compare(const sample& s, bool libgcc_complete) {
    const stack& a = s.stacks[ours];
    const stack& b = s.stacks[libgcc];
    std::size_t b_depth = 0;
    while (b_depth < b.depth && executable_.holds(b.pcs[b_depth] - (b_depth > 0 ? 1 : 0)))
      ++b_depth;
    std::size_t same = 0;
    while (same < a.depth && same < b_depth && a.pcs[same] == b.pcs[same]) ++same;
    // A context that has not begun yet is at the start of its entry: our walk shows it unchanged.
    if (same > 0 && same + 1 == a.depth && same + 1 == b_depth && a.pcs[same] == b.pcs[same] + 1 &&
        function_before(a.pcs[same]) == b.pcs[same]) {
      ++same;
    }
    if (same == a.depth && same == b_depth) {
      ++equal_;
    } else if (same == b_depth) {
      ++longer_;
    } else if (same == a.depth) {
      ++shorter_;
      if (libgcc_complete) note("shorter than libgcc's", show(b, same));
    } else if (same + 1 == a.depth || same + 1 == b_depth) {
      ++last_differs_;
      note("last frame differs", show(a, same) + "\n  libgcc has " + show(b, same));
    } else if (is_untold_epilogue(s.pc)) {
      ++untold_;
    } else {
      ++interior_;
      note("interior frame differs", show(a, same) + "\n  libgcc has " + show(b, same));
    }
  }

  // GCC 12 ends functions that realign their stack with pop %rbp; lea -8(%r10), %rsp; ret, and its
  // call-frame information does not say that rbp is the caller's after the first: libgcc then uses
  // the caller's caller's rbp, and leaves frames out.
  bool is_untold_epilogue(std::uintptr_t pc) const {
#if defined(__x86_64__)
    constexpr unsigned char pop_and_lea[] = {0x5d, 0x49, 0x8d, 0x62, 0xf8};
    const auto follow = [&](std::uintptr_t from) {
      return executable_.holds(from) &&
             std::memcmp(reinterpret_cast<const void*>(from), pop_and_lea, sizeof pop_and_lea) == 0;
    };
    return follow(pc - 1) || follow(pc - sizeof pop_and_lea);  // at lea, or at the ret behind it
#else
    return pc == 0;
#endif
  }

  const root_functions& roots_;
  const executable_memory& executable_;
  std::uintptr_t restorer_;
  std::uint64_t samples_ = 0, truncated_ = 0, wrong_leaf_ = 0, ended_ = 0;
  std::uint64_t complete_[methods] = {}, crashed_[methods] = {}, frames_[methods] = {};
  struct {
    std::uint64_t samples = 0, complete[methods] = {};
  } of_kind_[load::kinds];
  std::uint64_t equal_ = 0, longer_ = 0, shorter_ = 0, last_differs_ = 0, interior_ = 0,
                untold_ = 0;
  std::uint64_t outside_ = 0, not_called_ = 0;
  std::map<std::string, std::uint64_t> incomplete_;
  std::map<std::string, std::vector<std::string>> examples_;
};

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_COMPARISON_HPP
