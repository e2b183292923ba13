// SPDX-License-Identifier: Apache-2.0
//
// A program of all kinds of functions, for line_variants.py.
#ifndef WHENCE_TESTS_SYMBOLS_LINES_SUBJECT_CART_HPP
#define WHENCE_TESTS_SYMBOLS_LINES_SUBJECT_CART_HPP

namespace shop {

extern volatile double sink;

struct order {
  int id;
};

class task {
 public:
  virtual void run(order o) = 0;

 protected:
  ~task() = default;
};

template <class F>
class task_of final : public task {
 public:
  explicit task_of(F f) : f_(f) {}
  void run(order o) override { f_(o); }

 private:
  F f_;
};

class queue {
 public:
  template <class F>
  void push(F f) {
    tasks_[used_++ % most] = new task_of<F>(f);
  }
  void run() {
    for (int i = 0; i < used_; ++i) tasks_[i]->run({i});
  }
  int used() const { return used_; }

 private:
  static constexpr int most = 8;
  task* tasks_[most] = {};
  int used_ = 0;
};

template <int N>
inline double sum(double of) {
  if constexpr (N == 0) {
    return of;
  } else {
    sink = sink + of;
    return sum<N - 1>(of * 1.5) + N;
  }
}

[[gnu::always_inline]] inline double taxed(double price) {
  return sum<3>(price) * 1.19;
}

// It is in both files, so that a linker keeps one of them and discards the other.
template <class T>
[[gnu::noinline]] T total(T from, int steps) {
  T all = from;
  for (int i = 0; i < steps; ++i) {
    all += static_cast<T>(taxed(static_cast<double>(all) + i));
    sink = sink + static_cast<double>(all);
  }
  return all;
}

void price(queue& q);
void ship(queue& q);

}  // namespace shop

#endif  // WHENCE_TESTS_SYMBOLS_LINES_SUBJECT_CART_HPP
