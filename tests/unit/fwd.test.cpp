// SPDX-License-Identifier: Apache-2.0
//
// A header that only names the library's types. Everything up to the second group of includes is
// compiled before any page is included.
#include <whence/config.hpp>

#include <whence/fwd.hpp>

namespace {

// A class that has instruments as pointers, references, parameters and results.
struct shop {
  whence::profile* profile = nullptr;
  whence::mutex* fast = nullptr;
  whence::tracked_mutex<>* lock = nullptr;
  whence::tracked_mutex<std::recursive_mutex, whence::named_registry<"shop">>* named = nullptr;
  whence::tracked_condition_variable* ready = nullptr;
  whence::tracked_counting_semaphore<>* slots = nullptr;
  whence::tracked_binary_semaphore* one = nullptr;
  whence::tracked_latch* start = nullptr;
  whence::tracked_barrier<>* round = nullptr;
  whence::tracked_thread* worker = nullptr;
  whence::tracked_jthread* joining = nullptr;
  whence::tracking_resource* resource = nullptr;
  whence::tracking_allocator<int>* allocator = nullptr;
  whence::tracking_allocator<int, whence::named_registry<"shop">>* storage = nullptr;
  whence::tracked<whence::custom_profile<"shop.orders">>* order = nullptr;
  whence::scoped_labels* scope = nullptr;
  whence::cpu_session* cpu = nullptr;
  whence::server* server = nullptr;
};

void take(shop& s, whence::tracked_mutex<>& lock);
whence::labels labels_of(const shop& s);
whence::tracked_future<int> answer(whence::http::request& asked, const whence::http::options& how);
template <class T>
void count(whence::tracked<T>& entry);

}  // namespace

#include <doctest/doctest.h>

#include <memory>
#include <type_traits>

#include <whence/coroutine.hpp>
#include <whence/http.hpp>
#include <whence/server.hpp>
#include <whence/whence.hpp>

namespace {

void take(shop& s, whence::tracked_mutex<>& lock) {
  s.lock = &lock;
}
whence::labels labels_of(const shop&) {
  return {{"shop", "corner"}};
}
whence::tracked_future<int> answer(whence::http::request&, const whence::http::options&) {
  return std::async(std::launch::deferred, [] { return 42; });
}
template <class T>
void count(whence::tracked<T>& entry) {
  [[maybe_unused]] const whence::tracked<T> another(entry);
  CHECK(T::get().count() == 2);
}

TEST_CASE("the pages define what fwd.hpp names") {
  shop s;
  whence::tracked_mutex<> lock;
  take(s, lock);
  s.lock->lock();
  s.lock->unlock();

  whence::tracked_mutex<std::recursive_mutex, whence::named_registry<"shop">> named{"till"};
  s.named = &named;
  CHECK(s.named->try_lock());
  s.named->unlock();

  whence::tracked<whence::custom_profile<"shop.orders">> order;
  s.order = &order;
  count(*s.order);

  CHECK(labels_of(s)["shop"] == "corner");
  whence::http::request asked;
  CHECK(answer(asked, {}).get() == 42);

  whence::tracking_allocator<int, whence::named_registry<"shop">> storage;
  s.storage = &storage;
  s.storage->deallocate(s.storage->allocate(1), 1);
}

TEST_CASE("the default arguments are those that the interface promises") {
  using namespace whence;
  CHECK(std::is_same_v<tracked_mutex<>, tracked_mutex<std::mutex, default_registry>>);
  CHECK(std::is_same_v<tracking_allocator<int>,
                       tracking_allocator<int, default_registry, std::allocator<int>>>);
  CHECK(tracked_counting_semaphore<>::max() == std::counting_semaphore<>::max());
  CHECK(tracked_barrier<>::max() == std::barrier<>::max());
  CHECK(std::is_same_v<tracked_thread::id, std::thread::id>);
  CHECK(std::is_base_of_v<std::jthread, basic_tracked_thread<true, null_registry>>);
  CHECK(std::is_base_of_v<std::thread, basic_tracked_thread<false, null_registry>>);
}

}  // namespace
