// SPDX-License-Identifier: Apache-2.0
//
// The few algorithms that readers of profiles need. <algorithm> has them all, but is 8000 lines in
// every program that includes this library. Not for signal handlers: sorting allocates.
#ifndef WHENCE_SYS_ALGORITHMS_HPP
#define WHENCE_SYS_ALGORITHMS_HPP

#include <cstddef>
#include <utility>

namespace whence::inline v1::sys {

template <class T>
constexpr const T& least(const T& a, const T& b) noexcept {
  return b < a ? b : a;
}
template <class T>
constexpr const T& most(const T& a, const T& b) noexcept {
  return a < b ? b : a;
}

template <class Range, class Test>
constexpr bool all_of(const Range& range, Test test) {
  for (const auto& item : range) {
    if (!test(item)) return false;
  }
  return true;
}

// The position of the first item for which `after` holds; it is false for every item before that.
template <class Range, class After>
constexpr std::size_t first_after(const Range& range, After after) {
  std::size_t low = 0;
  for (std::size_t count = range.size(); count > 0;) {
    const std::size_t half = count / 2;
    if (after(range[low + half])) {
      count = half;
    } else {
      low += half + 1;
      count -= half + 1;
    }
  }
  return low;
}

// Works as std::erase_if does, on a vector or a similar container.
template <class Items, class Test>
void erase_if(Items& items, Test test) {
  std::size_t left = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (test(items[i])) continue;
    if (left != i) items[left] = std::move(items[i]);
    ++left;
  }
  while (items.size() > left) items.pop_back();
}

// Sorts by merging runs of doubled length; equal items keep their order. Throws: std::bad_alloc,
// with all items still there.
template <class Items, class Before>
void sort(Items& items, Before before) {
  Items merged;
  merged.reserve(items.size());
  for (std::size_t run = 1; run < items.size(); run *= 2) {
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * run) {
      const std::size_t middle = least(begin + run, items.size());
      const std::size_t end = least(begin + 2 * run, items.size());
      std::size_t left = begin;
      std::size_t right = middle;
      while (left < middle && right < end) {
        merged.push_back(
            std::move(before(items[right], items[left]) ? items[right++] : items[left++]));
      }
      while (left < middle) merged.push_back(std::move(items[left++]));
      while (right < end) merged.push_back(std::move(items[right++]));
    }
    items.swap(merged);
    merged.clear();
  }
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ALGORITHMS_HPP
