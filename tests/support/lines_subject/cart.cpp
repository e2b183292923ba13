// SPDX-License-Identifier: Apache-2.0
#include "cart.hpp"

namespace shop {

volatile double sink;

namespace {

[[gnu::noinline]] double hidden(double of) {
  for (int i = 0; i < 3; ++i) sink = sink + taxed(of * i);
  return of;
}

struct discount {
  double part;
  [[gnu::noinline]] double of(double price) const {
    sink = sink + hidden(price);
    return price * part;
  }
};

}  // namespace

static double twice(double of) {
  return hidden(of) + discount{0.5}.of(of);
}

void price(queue& q) {
  q.push([](order o) {
    for (int k = 0; k < 1000; ++k) sink = sink + k * o.id;
  });
}

void ship(queue& q) {
  q.push([&q](order o) {
    for (int k = 0; k < 2000; ++k) sink = sink + k - o.id + q.used() + taxed(k);
  });
  struct local {
    static double work(double of) {
      sink = sink + of;
      return twice(of) + total(of, 4);
    }
  };
  sink = sink + local::work(3) + static_cast<double>(total(7L, 5));
}

}  // namespace shop
