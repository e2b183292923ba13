// SPDX-License-Identifier: Apache-2.0
//
// new_delete.hpp and tracking_new count each byte once, at rate 1 to the byte; beside them the
// default registry's instruments only forward, and a named registry goes on. The same holds under a
// preloaded malloc.hpp, and in a static program without exceptions.
#include <cstdio>
#include <memory>
#include <new>
#include <vector>

#include <whence/core/counters.hpp>
#include <whence/memory_resource.hpp>
#include <whence/new_delete.hpp>
#include <whence/whence.hpp>

namespace {

int mistakes = 0;

// Bytes and objects in use, read without an allocation.
struct in_use {
  std::int64_t objects = 0, bytes = 0;
  friend bool operator==(const in_use&, const in_use&) = default;
};
in_use now(const whence::profile& p) {
  in_use sum;
  p.rows().for_each([&sum](const whence::tables::bucket& b) {
    const auto v = whence::core::read_heap(b).in_use;
    sum.objects += v.objects;
    sum.bytes += v.bytes;
  });
  return sum;
}

using storage = whence::named_registry<"storage">;
whence::profile& heap = *whence::lookup("heap");

void expect(const char* what, const in_use& before, in_use after, in_use more) {
  const in_use found{after.objects - before.objects, after.bytes - before.bytes};
  if (found == more) return;
  std::fprintf(stderr, "once: %s: %lld objects of %lld bytes, not %lld of %lld\n", what,
               static_cast<long long>(found.objects), static_cast<long long>(found.bytes),
               static_cast<long long>(more.objects), static_cast<long long>(more.bytes));
  ++mistakes;
}

// Checks that what `make` returns is in use as long as it lives.
template <class Make>
void lives(const char* what, in_use more, in_use in_storage, Make make) {
  const in_use before = now(heap), before_storage = now(storage::heap());
  {
    [[maybe_unused]] const auto it = make();
    expect(what, before, now(heap), more);
    expect(what, before_storage, now(storage::heap()), in_storage);
  }
  expect(what, before, now(heap), {});
  expect(what, before_storage, now(storage::heap()), {});
}

struct leaf : whence::tracking_new<> {
  char bytes[100];
};
struct page : whence::tracking_new<storage> {
  char bytes[100];
};
struct alignas(64) aligned_page : whence::tracking_new<storage> {
  char bytes[128];
};

// Blocks as operator new makes them, which a compiler must not leave out.
struct raw {
  void* it;
  bool is_aligned;
  raw(void* block, bool aligned) : it(block), is_aligned(aligned) {}
  raw(raw&& other) noexcept : it(other.it), is_aligned(other.is_aligned) { other.it = nullptr; }
  ~raw() {
    if (is_aligned) {
      ::operator delete (it, std::align_val_t{64});
    } else {
      ::operator delete(it);
    }
  }
};

}  // namespace

int main() {
  whence::set_heap_profile_rate(1);
  ::operator delete(::operator new(1));  // looks up what is only made once
  lives("new", {1, 1000}, {}, [] { return raw(::operator new(1000), false); });
  lives("new[]", {1, 1000}, {}, [] { return std::make_unique<char[]>(1000); });
  lives("nothrow", {1, 9}, {}, [] { return raw(::operator new(9, std::nothrow), false); });
  lives("aligned", {1, 100}, {},
        [] { return raw(::operator new (100, std::align_val_t{64}), true); });
  lives("large", {1, 5'000'000}, {}, [] { return raw(::operator new(5'000'000), false); });
  lives("nothing", {}, {}, [] { return raw(::operator new(0), false); });
  lives("vector", {1, 4000}, {}, [] { return std::vector<int>(1000); });
  lives("tracking_allocator", {1, 4000}, {},
        [] { return std::vector<int, whence::tracking_allocator<int>>(1000); });
  lives("named tracking_allocator", {1, 4000}, {1, 4000},
        [] { return std::vector<int, whence::tracking_allocator<int, storage>>(1000); });
  static whence::tracking_resource resource;
  lives("tracking_resource", {1, 4000}, {}, [] { return std::pmr::vector<int>(1000, &resource); });
  lives("tracking_new", {1, sizeof(leaf)}, {}, [] { return std::make_unique<leaf>(); });
  lives("named tracking_new", {1, sizeof(page)}, {1, sizeof(page)},
        [] { return std::make_unique<page>(); });
  lives("named tracking_new[]", {1, 3 * sizeof(page)}, {1, 3 * sizeof(page)},
        [] { return std::make_unique<page[]>(3); });
  lives("aligned tracking_new", {1, sizeof(aligned_page)}, {1, sizeof(aligned_page)},
        [] { return std::make_unique<aligned_page>(); });
  // A request that fails leaves the next one as it was.
  volatile std::size_t too_much = std::size_t{1} << 62;
  if (::operator new(too_much, std::nothrow) != nullptr) ++mistakes;
  too_much = std::size_t{0} - 64;
  if (::operator new(too_much, std::nothrow) != nullptr) ++mistakes;
  lives("new after a failure", {1, 1000}, {}, [] { return raw(::operator new(1000), false); });
  // At a rate at which sampled blocks are aligned to pages: what was sampled is gone at the end.
  whence::set_heap_profile_rate(64 * 1024);
  const in_use before = now(heap), before_storage = now(storage::heap());
  for (int i = 0; i < 20'000; ++i) {
    const auto first = std::make_unique<page>();
    const std::vector<char> second(static_cast<std::size_t>(i));
    if (reinterpret_cast<std::uintptr_t>(first.get()) % alignof(page) != 0) ++mistakes;
  }
  expect("sampled", before, now(heap), {});
  expect("sampled in storage", before_storage, now(storage::heap()), {});
  if (mistakes == 0) std::puts("once: everything is counted once");
  return mistakes != 0;
}
