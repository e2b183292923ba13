// SPDX-License-Identifier: Apache-2.0
//
// The modules that may hold addresses of stacks, sorted by address:
//
//   loaded     as the loader lists them now
//   gone       were loaded when addresses were looked up; until another one takes their place
//   recorded   those that dlopen loads, at their keys (unwind/modules/unloadable_modules.hpp),
//   where no other module
//              ever is: so stacks keep the names of the build they were taken in
//
// Not thread-safe.
#ifndef WHENCE_SYMBOLS_MODULE_LIST_HPP
#define WHENCE_SYMBOLS_MODULE_LIST_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <whence/symbols/mappings.hpp>
#include <whence/symbols/module_reader.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/out_of_memory.hpp>
#include <whence/sys/throw_or_abort.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

struct known_module {
  explicit known_module(loaded_module m) : it(std::move(m)) {}
  loaded_module it;
  module_facts facts;
  std::uint64_t asked_in = 0;        // the last reading in which it was read
  std::uint64_t used_in = 0;         // the last reading that lacks something of it
  sys::vector<std::string> reasons;  // why, of that reading
  std::int64_t read_at_ns = 0;       // time of its last read
};

template <class = void>
class basic_module_list {
 public:
  using pointer = std::shared_ptr<known_module>;

  const sys::vector<pointer>& loaded() const noexcept { return loaded_; }

  // Requires: `now` is loaded_modules(), complete.
  void refresh(sys::vector<loaded_module> now) {
    // The ranges point into the lists, which change even if memory ends meanwhile.
    ordered_ = false;
    ranges_.clear();
    sys::vector<pointer> before = std::move(loaded_);
    // The module that went last is searched first.
    for (pointer& g : gone_) before.push_back(std::move(g));
    loaded_.clear();
    gone_.clear();
    for (loaded_module& m : now) {
      pointer same;
      for (pointer& old : before) {
        if (old == nullptr || !old->it.is(m)) continue;
        same = std::exchange(old, nullptr);
        break;
      }
      if (same == nullptr) {
        same = std::make_shared<known_module>(std::move(m));
      } else if (m.file.known()) {
        same->it = std::move(m);
      }
      loaded_.push_back(std::move(same));
    }
    for (pointer& old : before) {
      if (old != nullptr && gone_.size() < most_gone) gone_.push_back(std::move(old));
    }
    order();
  }

  // Registers a module that stacks have gone through.
  void remember(const unwind::unloadable_record& record) {
    const std::uint64_t hash = sys::mix64(record.it.keys);
    const auto same = [&](std::uint32_t i) {
      return recorded_[i]->it.start == static_cast<std::uintptr_t>(record.it.keys);
    };
    if (by_keys_.find(hash, same) != sys::flat_index::none) return;
    auto m = std::make_shared<known_module>(module_of(record));
    if (const known_module* const now = loaded_as(m->it)) m->it.path = now->it.path;
    ordered_ = false;
    ranges_.clear();
    recorded_.push_back(std::move(m));
    // Without its index it is registered again.
    sys::or_if_out_of_memory(
        [&] { by_keys_.insert(hash, static_cast<std::uint32_t>(recorded_.size() - 1)); },
        [this] {
          recorded_.pop_back();
          sys::throw_or_abort<std::bad_alloc>();
        });
  }

  // nullptr if no module holds the address.
  const pointer* find(std::uintptr_t pc) {
    if (!ordered_) order();
    const std::size_t after =
        sys::first_after(ranges_, [pc](const range& r) { return pc < r.start; });
    if (after > 0 && pc < ranges_[after - 1].limit) return ranges_[after - 1].module;
    for (const pointer& m : gone_) {
      if (m->it.holds(pc)) return &m;
    }
    return nullptr;
  }

  // The same module at its loaded place; nullptr if it is not loaded.
  const known_module* loaded_as(const loaded_module& m) const {
    for (const pointer& l : loaded_) {
      const loaded_module& now = l->it;
      const bool same =
          now.bias + m.away == m.bias && now.build_id == m.build_id && (m.away != 0 || now.is(m));
      if (same) return l.get();
    }
    return nullptr;
  }

  // Calls visit(const known_module&) for every module.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto* all : {&loaded_, &gone_, &recorded_}) {
      for (const pointer& m : *all) visit(*m);
    }
  }

 private:
  static constexpr std::size_t most_gone = 256;

  struct range {
    std::uintptr_t start, limit;
    const pointer* module;
  };

  void order() {
    ranges_.clear();
    for (const auto* all : {&loaded_, &recorded_}) {
      for (const pointer& m : *all) {
        for (const code_range& c : m->it.code) ranges_.push_back({c.start, c.limit, &m});
      }
    }
    sys::sort(ranges_, [](const range& a, const range& b) { return a.start < b.start; });
    ordered_ = true;
  }

  sys::vector<pointer> loaded_;
  sys::vector<pointer> gone_;  // one for each place and build
  sys::vector<pointer> recorded_;
  sys::flat_index by_keys_;    // indexes recorded_
  sys::vector<range> ranges_;  // of loaded_ and recorded_, sorted by address
  bool ordered_ = true;
};
using module_list = basic_module_list<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MODULE_LIST_HPP
