// SPDX-License-Identifier: Apache-2.0
//
// A header that only names the library's types; run.sh adds the pages before or after it.
#include <whence/fwd.hpp>

struct shop {
  whence::tracked_mutex<>* lock = nullptr;
  whence::tracked_mutex<std::mutex, whence::named_registry<"shop">>* named = nullptr;
  whence::tracked_condition_variable* ready = nullptr;
  whence::tracked_counting_semaphore<>* slots = nullptr;
  whence::tracked_barrier<>* round = nullptr;
  whence::tracked_jthread* worker = nullptr;
  whence::tracked_future<int>* answer = nullptr;
  whence::tracking_resource* resource = nullptr;
  whence::tracking_allocator<int, whence::named_registry<"shop">>* storage = nullptr;
  whence::tracked<whence::custom_profile<"shop.orders">>* order = nullptr;
  whence::tracked_awaitable<int>* awaited = nullptr;
  whence::tracked_promise* promise = nullptr;
  whence::scoped_labels* scope = nullptr;
  whence::server* server = nullptr;
};
template <class T>
void count(whence::tracked<T>& entry, const whence::http::options& how);
