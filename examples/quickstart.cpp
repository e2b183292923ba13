// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include <whence/server.hpp>
#include <whence/whence.hpp>

namespace shop {
std::vector<double, whence::tracking_allocator<double>> sales;  // shows in heap and allocs
whence::tracked_mutex<> till{"till"};                           // shows in block and mutex

double price(double item) {
  for (int i = 0; i < 100; ++i) item = std::sqrt(item * i + 1);
  return item;
}
void sell() {
  for (double item = 0; item < 1e12; ++item) {
    const double amount = price(item);
    const std::scoped_lock hold(till);
    sales.push_back(amount);
    if (sales.size() % 10'000 == 0) std::sort(sales.begin(), sales.end());
    if (sales.size() == 500'000) sales.clear();
  }
}
}  // namespace shop

int main() {
  const whence::server profiles;  // http://127.0.0.1:6060/debug/pprof/
  if (profiles.error()) return 1;
  const whence::tracked_jthread first(shop::sell), second(shop::sell);
}
