// SPDX-License-Identifier: Apache-2.0
//
// Stacks begin with the user's code. Functions that only allocate, unlock or count would be the
// leaf of every sample, so they are dropped, with everything they call:
//
//   tracking_allocator::allocate < _M_allocate < vector::_M_realloc_insert < shop::add_order
//   |------------------ dropped --------------| |---- hidden, if so asked --|
//
// pprof drops what profile.proto's drop_frames matches (Prune: from the outermost match that has a
// frame around it); our own views use the same list. So the list has nothing that can run user
// code: no function that constructs an element, hashes a key or calls a virtual function. Names are
// short: no template arguments, no parameters. The pattern also matches long names, which
// ?names=full and pprof's demangle=full give (pprof cuts them at the first bracket, so a name with
// an argument like (char)97 is not dropped).
//
// `block`, `goroutine`, `cpu` and `wall` keep all frames: there the leaf says what the thread waits
// for, or computes. Containers are hidden, not dropped, at the leaf end alone, in views for people:
// the page and write_top (pprof: -hide='^(std|whence)::').
#ifndef WHENCE_FORMAT_DROP_FRAMES_HPP
#define WHENCE_FORMAT_DROP_FRAMES_HPP

#include <cstddef>
#include <string>
#include <string_view>

#include <whence/core/kinds.hpp>

namespace whence::inline v1::format {

inline constexpr std::string_view std_scope = "std::";

// Functions of a scope. The scope `std::` includes its inline namespaces (__1, __cxx11, __detail,
// _V2).
struct dropped_names {
  std::string_view scope;
  std::string_view names;  // with | between them
};

inline constexpr dropped_names dropped_of_memory[] = {
    {"whence::basic_tracking_allocator::", "allocate|allocate_at_least"},
    {"whence::basic_tracking_resource::", "do_allocate"},
    {"",
     "operator new|operator new[]|malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|"
     "memalign|valloc|pvalloc"},
    {"std::allocator_traits::", "allocate|allocate_at_least"},
    {"std::allocator::", "allocate|allocate_at_least"},
    {"__gnu_cxx::new_allocator::", "allocate"},  // libstdc++ 12 and before
    {"std::__new_allocator::", "allocate"},
    {"std::", "__allocate_guarded|__allocate_at_least|__libcpp_allocate|__libcpp_operator_new"},
    {"std::basic_string::", "_M_create"},
    {"std::_Vector_base::", "_M_allocate|_M_create_storage|_Vector_base"},
    {"std::_Bvector_base::", "_M_allocate"},
    {"std::_Deque_base::",
     "_M_allocate_node|_M_allocate_map|_M_create_nodes|_M_initialize_map|_Deque_base"},
    {"std::deque::", "_M_reallocate_map|_M_reserve_map_at_back|_M_reserve_map_at_front"},
    {"std::_List_base::", "_M_get_node"},
    {"std::_Fwd_list_base::", "_M_get_node"},
    {"std::_Rb_tree::", "_M_get_node"},
    {"std::_Hashtable::", "_M_allocate_buckets"},
    {"std::_Hashtable_alloc::", "_M_allocate_buckets"},
    {"std::vector::", "__vallocate"},
};

inline constexpr dropped_names dropped_of_locks[] = {
    {"whence::tracked_mutex::", "unlock|unlock_shared"},
    {"std::lock_guard::", "~lock_guard"},
    {"std::scoped_lock::", "~scoped_lock"},
    {"std::unique_lock::", "~unique_lock|unlock"},
    {"std::shared_lock::", "~shared_lock|unlock"},
    {"std::condition_variable_any::_Unlock::", "_Unlock"},
};

inline constexpr dropped_names dropped_of_entries[] = {
    {"whence::tracked::", "tracked|copy|operator="},
    {"whence::instruments::entry::", "begin"},
    {"whence::profile::", "add"},
};

// A span of one of the lists above; std::span asks the compiler for all concepts of ranges.
class dropped_list {
 public:
  constexpr dropped_list() noexcept = default;
  template <std::size_t size>
  constexpr dropped_list(const dropped_names (&names)[size]) noexcept
      : begin_(names), end_(names + size) {}

  constexpr const dropped_names* begin() const noexcept { return begin_; }
  constexpr const dropped_names* end() const noexcept { return end_; }
  constexpr bool empty() const noexcept { return begin_ == end_; }

 private:
  const dropped_names* begin_ = nullptr;
  const dropped_names* end_ = nullptr;
};

// Empty if nothing is dropped in profiles of that kind.
constexpr dropped_list dropped_in(instruments::kind k) noexcept {
  switch (core::info(k).recorded_by) {
    case core::instrument::allocator:
      return dropped_of_memory;
    case core::instrument::lock:
      return dropped_of_locks;
    case core::instrument::entry:
      return dropped_of_entries;
    case core::instrument::none:
      return {};
  }
  return {};
}

// The expression for Profile.drop_frames, which readers anchor, in the syntax that RE2 and
// JavaScript share. The names of std are one group at the end.
template <class = void>
inline std::string drop_frames(instruments::kind k) {
  std::string others;
  std::string of_std;
  const auto add = [](std::string& to, std::string_view text) {
    for (const char c : text) {
      if (c == '[' || c == ']') to += '\\';
      to += c;
    }
  };
  const auto add_scope = [&add](std::string& to, std::string_view scope) {
    constexpr std::string_view own = "whence::";
    if (scope.empty()) return;
    if (scope.starts_with(own)) {
      add(to, "whence::(v1::)?");
      scope.remove_prefix(own.size());
    }
    if (scope.empty()) return;
    add(to, scope.substr(0, scope.size() - 2));
    to += "(<.*>)?::";
  };
  for (const dropped_names& d : dropped_in(k)) {
    const bool in_std = d.scope.starts_with(std_scope);
    const std::string_view scope = in_std ? d.scope.substr(std_scope.size()) : d.scope;
    std::string& to = in_std ? of_std : others;
    if (!to.empty()) to += '|';
    add_scope(to, scope);
    const bool several = !scope.empty() && d.names.find('|') != std::string_view::npos;
    if (several) to += '(';
    add(to, d.names);
    if (several) to += ')';
  }
  if (of_std.empty()) return others;
  return others + "|std::(_\\w+::)?(" + of_std + ")";
}

// Frames of the standard library and of this one are hidden at the leaf end.
inline constexpr const char* hide_frames = "^(std|__gnu_cxx|whence)::";

constexpr bool is_hidden(std::string_view short_name) noexcept {
  return short_name.starts_with("std::") || short_name.starts_with("__gnu_cxx::") ||
         short_name.starts_with("whence::");
}

// True if drop_frames(k) matches.
constexpr bool is_dropped(instruments::kind k, std::string_view short_name) noexcept {
  const auto is_in = [](std::string_view scope, std::string_view names, std::string_view name) {
    if (!name.starts_with(scope)) return false;
    name.remove_prefix(scope.size());
    while (!names.empty()) {
      const std::string_view first = names.substr(0, names.find('|'));
      if (name == first) return true;
      names.remove_prefix(first.size() < names.size() ? first.size() + 1 : names.size());
    }
    return false;
  };
  // The name without std's inline namespace.
  std::string_view within_std;
  if (short_name.starts_with("std::_")) {
    const std::size_t end = short_name.find("::", 7);
    if (end != std::string_view::npos) within_std = short_name.substr(end + 2);
  }
  for (const dropped_names& d : dropped_in(k)) {
    if (is_in(d.scope, d.names, short_name)) return true;
    if (!within_std.empty() && d.scope.starts_with(std_scope) &&
        is_in(d.scope.substr(std_scope.size()), d.names, within_std)) {
      return true;
    }
  }
  return false;
}

enum class library_leaves : bool { are_shown, are_hidden };

// The index at which a stack begins for its reader: the first of `frames`, leaf first, that is
// neither dropped nor hidden. One frame is always left. name_of(frame) is its short name.
template <class Frames, class NameOf>
std::size_t first_shown(instruments::kind k, const Frames& frames, library_leaves leaves,
                        NameOf name_of) {
  if (dropped_in(k).empty()) return 0;
  std::size_t first = 0;
  bool has_caller = false;
  for (std::size_t i = frames.size(); i > 0; --i) {
    if (!is_dropped(k, name_of(frames[i - 1]))) {
      has_caller = true;
    } else if (has_caller) {
      first = i;
      break;
    }
  }
  if (leaves == library_leaves::are_shown) return first;
  for (std::size_t i = first; i < frames.size(); ++i) {
    if (!is_hidden(name_of(frames[i]))) return i;
  }
  return first;
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_DROP_FRAMES_HPP
