// SPDX-License-Identifier: Apache-2.0
//
// sys::vector against std::vector.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

using namespace whence;

namespace {

// Throws when copies or default constructions are used up, and counts the objects that live.
struct fragile {
  static inline int live = 0;
  static inline int left = 1'000'000;

  static void spend() {
    if (left == 0) throw std::runtime_error("used up");
    --left;
  }

  fragile() : fragile(std::string(30, 'd')) {}
  explicit fragile(std::string t) : text(std::move(t)) {
    spend();
    ++live;
  }
  fragile(const fragile& other) : fragile(other.text) {}
  fragile(fragile&& other) noexcept : text(std::move(other.text)) { ++live; }
  fragile& operator=(const fragile&) = default;
  fragile& operator=(fragile&&) = default;
  ~fragile() { --live; }

  std::string text;
};

std::vector<std::string> texts(const sys::vector<std::string>& items) {
  return {items.begin(), items.end()};
}

}  // namespace

TEST_CASE("a vector holds after any calls what std::vector does") {
  std::minstd_rand random(1);
  for (int run = 0; run < 50; ++run) {
    sys::vector<std::string> items;
    std::vector<std::string> expected;
    for (int call = 0; call < 100; ++call) {
      const std::string text(random() % 40, static_cast<char>('a' + random() % 26));
      const std::size_t size = random() % 20;
      switch (random() % 9) {
        case 0:
          items.push_back(text);
          expected.push_back(text);
          break;
        case 1:
          items.emplace_back(size, 'e');
          expected.emplace_back(size, 'e');
          break;
        case 2:
          items.resize(size);
          expected.resize(size);
          break;
        case 3:
          items.resize(size, text);
          expected.resize(size, text);
          break;
        case 4:
          items.reserve(size);
          CHECK(items.capacity() >= size);
          break;
        case 5:
          items.shrink_to_fit();
          CHECK(items.capacity() == items.size());
          break;
        case 6:
          items = sys::vector<std::string>(items);
          break;
        case 7:
          if (!items.empty()) {
            const std::size_t at = random() % items.size();
            const std::size_t end = at + random() % (items.size() - at + 1);
            items.erase(items.begin() + at, items.begin() + end);
            expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(at),
                           expected.begin() + static_cast<std::ptrdiff_t>(end));
          }
          break;
        default: {
          const std::vector<std::string> more(size, text);
          items.append(more.data(), more.data() + more.size());
          expected.insert(expected.end(), more.begin(), more.end());
        }
      }
      REQUIRE(texts(items) == expected);
    }
  }
}

TEST_CASE("an item of the vector can be appended to it") {
  sys::vector<std::string> items{"a string that is longer than the room in the object"};
  for (int i = 0; i < 100; ++i) items.push_back(items.front());
  CHECK(items.size() == 101);
  CHECK(items.back() == items.front());
  items.shrink_to_fit();
  items.resize(500, items.back());
  CHECK(items.back() == items.front());
  items.resize(2, items.back());
  CHECK(items == sys::vector<std::string>{items[0], items[0]});
}

TEST_CASE("a constructor that throws leaves the items as they were, and leaks none") {
  for (int left = 0; left < 40; ++left) {
    fragile::left = 1'000'000;
    {
      sys::vector<fragile> items(5);
      fragile::left = left;
      CHECK_THROWS_AS(
          [&] {
            for (;;) items.emplace_back();
          }(),
          std::runtime_error);
      CHECK(items.size() == static_cast<std::size_t>(5 + left));
      for (const fragile& f : items) CHECK(f.text.size() == 30);
      CHECK_THROWS_AS([&] { const sys::vector<fragile> copy(items); }(), std::runtime_error);
      CHECK_THROWS_AS(sys::vector<fragile>(3), std::runtime_error);
    }
    CHECK(fragile::live == 0);
  }
  fragile::left = 1'000'000;
}

TEST_CASE("more items than memory has are std::bad_alloc") {
  sys::vector<std::uint64_t> numbers{1, 2};
  CHECK_THROWS_AS(numbers.reserve(SIZE_MAX / 8 + 2), std::bad_alloc);
  CHECK(numbers == sys::vector<std::uint64_t>{1, 2});
}

TEST_CASE("an owner deletes what it owns once") {
  fragile::left = 1'000'000;
  {
    sys::owner<fragile> one = sys::make_owned<fragile>("one");
    sys::owner<fragile> two(std::move(one));
    CHECK(one == nullptr);
    CHECK(two->text == "one");
    two = sys::make_owned<fragile>("two");
    CHECK(fragile::live == 1);
    delete two.release();
    CHECK(fragile::live == 0);
    two.reset(new fragile("three"));
    sys::owner<fragile[]> several(new fragile[3]);
    CHECK(several[2].text.size() == 30);
    several = sys::owner<fragile[]>(new fragile[2]);
    CHECK(fragile::live == 3);
    sys::owner<fragile[]>& same = several;
    several = std::move(same);
    CHECK(several.get() != nullptr);
    CHECK(fragile::live == 3);
  }
  CHECK(fragile::live == 0);
}
