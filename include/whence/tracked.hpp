// SPDX-License-Identifier: Apache-2.0
//
// tracked: while it lives, one entry in a custom profile, at the stack that made it.
//
//   using sessions = whence::custom_profile<"app.sessions">;
//   class session {
//     whence::tracked<sessions> entry_;     // as a member, or as a local variable
//   };
//   sessions::get().count();                // the number that live now
//
// A copy is one more entry, at the stack of the copy; a move moves the entry. If the constructor of
// the owner throws, the entry ends. Thread-safe: an entry may end on another thread. Never throws,
// never allocates from the heap. Cost: one stack to begin, one atomic subtraction to end, 8 bytes.
// With WHENCE_DISABLE it is an empty class.
#ifndef WHENCE_TRACKED_HPP
#define WHENCE_TRACKED_HPP

#include <whence/config.hpp>

#include <type_traits>

#include <whence/instruments/declared_profile.hpp>
#include <whence/instruments/entry.hpp>
#include <whence/instruments/fixed_string.hpp>
#include <whence/instruments/kind.hpp>
#include <whence/instruments/predefined.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>

namespace whence::inline v1 {

template <fixed_string Name, bool Enabled>
profile& basic_custom_profile<Name, Enabled>::get() noexcept {
  static_assert(!instruments::is_predefined(Name.text),
                "custom_profile: an empty name, or one of a predefined profile");
  if constexpr (Enabled) instruments::declare_profile<Name, "", instruments::kind::custom>();
  static constinit instruments::found_profile known;
  return known.get(Name.text, instruments::kind::custom);
}

// Profile is a custom_profile, or any type with `enabled` and a static get() of the same kind.
template <class Profile, bool Enabled>
class tracked {
 public:
  tracked() noexcept { entry_.begin(Profile::get()); }
  tracked(const tracked& other) noexcept { copy(other); }
  tracked(tracked&&) noexcept = default;
  tracked& operator=(const tracked& other) noexcept {
    if (this != &other) copy(other);
    return *this;
  }
  tracked& operator=(tracked&&) noexcept = default;
  ~tracked() = default;

 private:
  // A copy of a moved-from object has no entry either.
  [[gnu::always_inline]] void copy(const tracked& other) noexcept {
    if (other.entry_.begun()) {
      entry_.begin(Profile::get());
    } else {
      entry_.end();
    }
  }

  instruments::entry entry_;
};

// A disabled program must not be warned that its local entries are unused: clang heeds the
// attribute, GCC a constructor that is not defaulted.
template <class Profile>
class [[maybe_unused]] tracked<Profile, false> {
 public:
  constexpr tracked() noexcept {}  // NOLINT(modernize-use-equals-default)
};

static_assert(sizeof(tracked<basic_custom_profile<"x", true>>) == sizeof(void*));
static_assert(std::is_empty_v<tracked<basic_custom_profile<"x", false>>>);

}  // namespace whence::inline v1

#endif  // WHENCE_TRACKED_HPP
