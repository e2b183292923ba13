// SPDX-License-Identifier: Apache-2.0
//
// Lines by libbacktrace (part of GCC). It reads the debug information of all loaded modules at its
// first question and keeps it: about six times the size of the ELF files, for good. Modules loaded
// later are unknown to it, so a new reader is made when the modules have changed; since none can be
// freed, only so often.
#ifndef WHENCE_SYMBOLS_LIBBACKTRACE_LINES_HPP
#define WHENCE_SYMBOLS_LIBBACKTRACE_LINES_HPP

#include <cstdint>
#include <vector>

#include <whence/symbols/lines.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/loader.hpp>

#if __has_include(<backtrace.h>)
#include <backtrace.h>
#else
// Clang does not look into GCC's folder, where the header is: its interface, which is stable.
extern "C" {
struct backtrace_state;
using backtrace_error_callback = void (*)(void* data, const char* message, int error);
using backtrace_full_callback = int (*)(void* data, std::uintptr_t pc, const char* file, int line,
                                        const char* function);
backtrace_state* backtrace_create_state(const char* filename, int threaded,
                                        backtrace_error_callback error, void* data);
int backtrace_pcinfo(backtrace_state* state, std::uintptr_t pc, backtrace_full_callback callback,
                     backtrace_error_callback error, void* data);
}
#endif

namespace whence::inline v1::symbols {

class libbacktrace_lines {
 public:
  void modules_changed() noexcept { state_ = nullptr; }

  // Innermost inlined frame first; empty where there is no debug information.
  std::vector<source_line> find(std::uintptr_t pc) {
    const sys::errno_guard keep;
    std::vector<source_line> found;
    // After the last reader no lines at all: an old one would give those of a module that is gone.
    if (state_ == nullptr && made_ < most_) {
      // Its first question makes it walk the list of modules.
      const sys::scoped_lock hold(sys::loader_walk);
      state_ = ::backtrace_create_state(nullptr, 1, &ignore, nullptr);
      ++made_;
      if (state_ != nullptr) ::backtrace_pcinfo(state_, pc, &add, &ignore, &found);
    } else if (state_ != nullptr) {
      ::backtrace_pcinfo(state_, pc, &add, &ignore, &found);
    }
    return found;
  }

 private:
  static constexpr int most_ = 8;

  static int add(void* data, std::uintptr_t, const char* file, int line, const char* function) {
    if (file == nullptr && function == nullptr) return 0;
    static_cast<std::vector<source_line>*>(data)->push_back(
        {function != nullptr ? function : "", file != nullptr ? file : "",
         line > 0 ? static_cast<std::uint32_t>(line) : 0});
    return 0;
  }
  // A module without debug information is no error: its frames have no lines.
  static void ignore(void*, const char*, int) {}

  backtrace_state* state_ = nullptr;
  int made_ = 0;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LIBBACKTRACE_LINES_HPP
