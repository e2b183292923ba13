// SPDX-License-Identifier: Apache-2.0
//
// What all walks share: the rules found so far, the modules, the counts. A process has one.
//
// A rule that is not in the cache is made from the call-frame information of its one function, at
// the moment it is needed: nothing is prepared, and nothing grows with the size of the program.
//
// find_modules(): not for signal handlers. All else: signal-safe, lock-free, never allocates from
// the heap.
#ifndef WHENCE_UNWIND_UNWINDER_HPP
#define WHENCE_UNWIND_UNWINDER_HPP

#include <cstddef>
#include <cstdint>

#include <whence/sys/arena.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/sys/syscall_filter.hpp>
#include <whence/unwind/arch.hpp>
#include <whence/unwind/cfi/cfa_program.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>
#include <whence/unwind/make_rule.hpp>
#include <whence/unwind/modules/permanent_modules.hpp>
#include <whence/unwind/modules/unloadable_modules.hpp>
#include <whence/unwind/rule_cache.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/walk/previous_stack.hpp>

namespace whence::inline v1::unwind {

class unwinder {
 public:
  // 288 KiB of zeros.
  struct storage {
    rule_cache::storage rules;
    previous_stacks::storage stacks;
  };

  constexpr unwinder(storage& own, sys::arena& arena) noexcept
      : rules_(own.rules), permanent_(arena), plugins_(arena), previous_stacks_(own.stacks) {}

  // Called before walks. If the kernel gives no memory for the list of modules, walks go by frame
  // pointers, and a later call tries again. Once the modules are known, it does nothing.
  bool find_modules() noexcept {
    if (permanent_.is_open()) [[likely]]
      return true;
    return find_modules_now();
  }

  const rule_cache& rules() const noexcept { return rules_; }
  const permanent_modules& permanent() const noexcept { return permanent_; }
  unloadable_modules& loaded() noexcept { return plugins_; }
  const unloadable_modules& loaded() const noexcept { return plugins_; }
  previous_stacks& stacks() noexcept { return previous_stacks_; }
  walk_counts& counts() noexcept { return counts_; }
  const walk_counts& counts() const noexcept { return counts_; }

  // The rule of the code at `lookup`: `linked` if the module has no rule for its code, an empty one
  // if no module has such code. `current`: the plugin of the last call in this walk.
  template <class Memory>
  rule rule_for(std::uintptr_t lookup, Memory& memory, plugin& current) noexcept {
    const std::uint64_t key = rule_key(lookup + 1);
    rule r = cached(key);
    if (r && r.kind() != rule_kind::elsewhere) return r;
    if (!r) {
      // No rule is kept before it is known which modules stay.
      if (!permanent_.is_open()) return {};
      if (const module* const m = permanent_.find(lookup)) {
        memory_in_place in_place;
        r = make(*m, lookup, in_place);
        if (r && !unloadable_modules::is_plugin_key(lookup)) rules_.insert(key, r);
        return r;
      }
    }
    if (!current.holds(lookup) && !plugins_.find(lookup, memory, current)) return {};
    if (!r) rules_.insert(key, rule::of(rule_kind::elsewhere));
    if (current.keys == 0) return make(current.where, lookup, memory);
    const std::uint64_t plugin_key = rule_key(current.key_of(lookup + 1));
    r = cached(plugin_key);
    if (!r) {
      r = make(current.where, lookup, memory);
      if (r) rules_.insert(plugin_key, r);
    }
    return r;
  }

  // True if that code is in a module that may be unloaded: then `current` is the module.
  template <class Memory>
  bool is_in_plugin(std::uintptr_t lookup, Memory& memory, plugin& current) noexcept {
    if (rules_.read().find(rule_key(lookup + 1)).is_frame() || permanent_.find(lookup) != nullptr) {
      return false;
    }
    return current.holds(lookup) || plugins_.find(lookup, memory, current);
  }

  // Finds the entry of the function that holds `lookup`, for dwarf_walk. True if it has one.
  template <class Memory>
  lookup_result entry_for(std::uintptr_t lookup, Memory& memory, plugin& current,
                          fde& found) noexcept {
    if (const module* const m = permanent_.find(lookup)) {
      memory_in_place in_place;
      return eh_frame(m->frames, in_place).find(lookup, found);
    }
    if (!permanent_.is_open()) return lookup_result::no_entry;
    if (!current.holds(lookup) && !plugins_.find(lookup, memory, current)) {
      return lookup_result::no_entry;
    }
    return eh_frame(current.where.frames, memory).find(lookup, found);
  }

 private:
  [[gnu::noinline, gnu::cold]] bool find_modules_now() noexcept {
    sys::look_for_valgrind();
    sys::look_for_filter();
    sys::for_each_module([this](const dl_phdr_info& executable) {  // it comes first
      plugins_.find_loader(executable);
      return true;
    });
    return permanent_.open();
  }

  rule cached(std::uint64_t key) noexcept {
    const rule r = rules_.read().find(key);
    return r ? r : rules_.find_victim(key);
  }

  template <class Memory>
  rule make(const module& m, std::uintptr_t lookup, Memory& memory) noexcept {
    counts_.missed();
    return make_rule(m, lookup, memory);
  }

  rule_cache rules_;
  permanent_modules permanent_;
  unloadable_modules plugins_;
  previous_stacks previous_stacks_;
  walk_counts counts_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_UNWINDER_HPP
