// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <future>
#include <string>
#include <type_traits>
#include <utility>

#include <whence/condition_variable.hpp>
#include <whence/sync.hpp>

using namespace whence;

namespace {

// The instrument that records is the oracle: code must mean the same if nothing is recorded.
template <class Recording, class Plain, class... Arguments>
constexpr bool takes_the_same = std::is_constructible_v<Recording, Arguments...> ==
                                std::is_constructible_v<Plain, Arguments...>;

template <class Recording, class Plain, class From>
constexpr bool converts_the_same =
    std::is_convertible_v<From, Recording> == std::is_convertible_v<From, Plain>;

template <template <class> class Of, class... Arguments>
constexpr bool alike = takes_the_same<Of<predefined_registry>, Of<null_registry>, Arguments...>;

template <class R>
using slots = basic_tracked_counting_semaphore<8, R>;
template <class R>
using barrier = basic_tracked_barrier<instruments::no_completion, R>;
template <class R>
using future = basic_tracked_future<std::string, R>;
template <class R>
using shared = basic_tracked_shared_future<std::string, R>;

template <template <class> class Of>
constexpr bool counts_alike = alike<Of>&& alike<Of, int>&& alike<Of, const char*>&&
    alike<Of, const char*, int>&& alike<Of, std::string, std::ptrdiff_t>;
static_assert(counts_alike<slots> && counts_alike<basic_tracked_latch> && counts_alike<barrier>);
static_assert(alike<barrier, const char*, int, instruments::no_completion>);

static_assert(alike<basic_tracked_condition_variable> &&
              alike<basic_tracked_condition_variable, const char*>);
static_assert(converts_the_same<basic_tracked_condition_variable<predefined_registry>,
                                basic_tracked_condition_variable<null_registry>, const char*>);

template <template <class> class Of, class From>
constexpr bool comes_alike = alike<Of, From>&& alike<Of, const char*, From>&&
    converts_the_same<Of<predefined_registry>, Of<null_registry>, From>;
static_assert(comes_alike<future, std::future<std::string>>);
static_assert(comes_alike<shared, std::future<std::string>> &&
              comes_alike<shared, std::shared_future<std::string>>);
static_assert(std::is_nothrow_move_constructible_v<future<null_registry>> &&
              !std::is_copy_constructible_v<future<null_registry>>);
static_assert(std::is_copy_constructible_v<shared<null_registry>>);

}  // namespace

TEST_CASE("an instrument that records nothing is the standard object it is made from") {
  std::promise<std::string> promise;
  future<null_registry> named{"unseen", promise.get_future()};
  shared<null_registry> kept = named.share();
  shared<null_registry> copy = kept;
  promise.set_value("value");
  CHECK(copy.get() == "value");
  CHECK(kept.get() == "value");
  barrier<null_registry> alone{"alone", 1, {}};
  alone.arrive_and_wait();
  slots<null_registry> two{"two", 2};
  two.acquire();
  CHECK(two.try_acquire());
  CHECK_FALSE(two.try_acquire());
}
