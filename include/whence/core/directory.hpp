// SPDX-License-Identifier: Apache-2.0
//
// Every profile of the process by name: a chain that only grows, read without a lock, and a lock
// for threads that add to it. Go: the global map behind runtime/pprof.NewProfile and Lookup.
#ifndef WHENCE_CORE_DIRECTORY_HPP
#define WHENCE_CORE_DIRECTORY_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/spin_lock.hpp>

namespace whence::inline v1 {

class profile_directory {
 public:
  static constexpr std::uint16_t last_id = UINT16_MAX - 2;  // the samplers have two

  constexpr explicit profile_directory(sys::arena& memory) noexcept : arena_(memory) {}

  profile* find(std::string_view name) const noexcept {
    for (profile* p = first(); p != nullptr; p = next(*p)) {
      if (p->name() == name) return p;
    }
    return nullptr;
  }

  profile* first() const noexcept { return head_.load(std::memory_order_acquire); }
  static profile* next(const profile& p) noexcept {
    return p.next_.load(std::memory_order_acquire);
  }

  struct made {
    profile* it;  // nullptr: no memory, or 65533 profiles already
    bool fresh;   // false: the name was in use
  };

  // The profile of that name, made if it is missing. A new one shows the rows of `shown`, if given,
  // instead of its own. A profile that was only declared counts as new.
  made find_or_make(std::string_view name, std::string_view description, instruments::kind kind,
                    const profile* shown = nullptr) noexcept {
    const sys::guard hold(lock_);
    if (profile* const p = find(name)) return {p, use_declared(*p, description, kind)};
    profile* const p = make(name, description, kind, shown);
    if (p != nullptr) head_.store(p, std::memory_order_release);
    return {p, p != nullptr};
  }

  // Makes a profile that code names, before its first use. nullptr if there is no memory for it.
  profile* declare(std::string_view name, std::string_view description, instruments::kind kind,
                   const profile* shown = nullptr) noexcept {
    const sys::guard hold(lock_);
    if (profile* const p = find(name)) return p;
    profile* const p = make(name, description, kind, shown);
    if (p == nullptr) return nullptr;
    p->only_declared_ = true;
    head_.store(p, std::memory_order_release);
    return p;
  }

  // How much of the arena a profile takes.
  static constexpr std::size_t bytes_of(std::string_view name,
                                        std::string_view description) noexcept {
    return sys::arena::round_up(sizeof(profile) + name.size() + description.size() + 2);
  }

  // Makes a profile that find never returns, in the caller's memory. No other profile has its id,
  // 0.
  static profile* make_unlisted(void* memory) noexcept {
    return ::new (memory) profile("nowhere", "", instruments::kind::custom, 0);
  }

  sys::spin_lock& lock() noexcept { return lock_; }

 private:
  // The profile and its texts are one block, so that a refusal leaves nothing behind. The caller
  // makes it the head of the chain.
  profile* make(std::string_view name, std::string_view description, instruments::kind kind,
                const profile* shown) noexcept {
    if (last_id_ == last_id) return nullptr;
    void* const memory = arena_.allocate_always(bytes_of(name, description));
    if (memory == nullptr) return nullptr;
    char* const texts = static_cast<char*>(memory) + sizeof(profile);
    const std::string_view own_name(copy(texts, name), name.size());
    profile* const p = ::new (memory)
        profile(own_name, copy(texts + name.size() + 1, description), kind, ++last_id_);
    if (shown != nullptr && shown->rows_ != nullptr) p->rows_ = shown->rows_;
    p->next_.store(head_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return p;
  }

  // True if this is the first use of a profile that was declared. It gets the description of its
  // user, if there is memory for that.
  bool use_declared(profile& p, std::string_view description, instruments::kind kind) noexcept {
    if (!p.only_declared_ || p.kind_ != kind) return false;
    p.only_declared_ = false;
    if (description == p.description()) return true;
    void* const memory = arena_.allocate_always(description.size() + 1);
    if (memory != nullptr) {
      p.description_.store(copy(static_cast<char*>(memory), description),
                           std::memory_order_release);
    }
    return true;
  }

  // The arena's memory is zero, so the copy has its end.
  static const char* copy(char* to, std::string_view text) noexcept {
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    return to;
  }

  sys::arena& arena_;
  sys::spin_lock lock_;
  std::atomic<profile*> head_{nullptr};
  std::uint16_t last_id_ = 0;
};

}  // namespace whence::inline v1

#endif  // WHENCE_CORE_DIRECTORY_HPP
