// SPDX-License-Identifier: Apache-2.0
//
// The open parts while profiles are being written: the readers of some modules, the mappings, the
// map of generated code. A profile's addresses come module by module, so a few readers are enough;
// more would take the program's descriptors. close() releases everything.
//
// Not thread-safe.
#ifndef WHENCE_SYMBOLS_OPEN_MODULES_HPP
#define WHENCE_SYMBOLS_OPEN_MODULES_HPP

#include <cstddef>
#include <cstdint>
#include <utility>

#include <whence/symbols/mappings.hpp>
#include <whence/symbols/module_list.hpp>
#include <whence/symbols/module_reader.hpp>
#include <whence/symbols/perf_map.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/spare_descriptor.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_open_modules {
 public:
  // Valid until the next call. `loaded`: as for module_reader.
  module_reader& reader(known_module& m, const loaded_module* loaded) {
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      if (readers_[i].of != &m) continue;
      // The last one used comes last.
      for (; i + 1 < readers_.size(); ++i) std::swap(readers_[i], readers_[i + 1]);
      return *readers_.back().it;
    }
    if (readers_.size() == most_readers) readers_.erase(readers_.begin());
    const mapping* const mapped =
        loaded != nullptr ? find_mapping(code(), loaded->code[0].start) : nullptr;
    auto fresh = sys::make_owned<module_reader>(m.it, mapped, loaded);
    if (fresh->facts().may_change && !readers_.empty()) {
      // It may lack the descriptors, or memory, that the other readers occupy.
      readers_.clear();
      fresh.reset();
      fresh = sys::make_owned<module_reader>(m.it, mapped, loaded);
    }
    m.read_at_ns = sys::monotonic_ns();
    readers_.push_back({&m, std::move(fresh)});
    return *readers_.back().it;
  }

  // The kernel's list, read once.
  const sys::vector<mapping>& code() {
    if (has_code_) return code_;
    code_ = mapped_code(false, code_error_);
    has_code_ = true;
    return code_;
  }
  void modules_changed() noexcept { has_code_ = false; }

  // errno if the list, or the names of generated code, could not be read since the last close().
  int code_error() const noexcept { return code_error_; }
  int generated_error() const noexcept { return generated_ == nullptr ? 0 : generated_->error(); }

  const perf_map& generated_code() {
    if (generated_ == nullptr) generated_ = sys::make_owned<perf_map>();
    return *generated_;
  }

  void close() {
    readers_.clear();
    readers_.shrink_to_fit();
    sys::vector<mapping>().swap(code_);
    has_code_ = false;
    code_error_ = 0;
    generated_.reset();
    sys::spare.refill();
  }

 private:
  static constexpr std::size_t most_readers = 8;

  struct open_reader {
    known_module* of;
    sys::owner<module_reader> it;
  };

  sys::vector<open_reader> readers_;
  sys::vector<mapping> code_;
  bool has_code_ = false;
  int code_error_ = 0;
  sys::owner<perf_map> generated_;
};
using open_modules = basic_open_modules<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_OPEN_MODULES_HPP
