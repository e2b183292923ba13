// SPDX-License-Identifier: Apache-2.0
//
// What it costs to set labels and to restore them, for sets seen before: from texts, as a request
// handler does, and from a prepared set. peers/labels.go measures Go's pprof.Do.
#include <benchmark/benchmark.h>

#include <string>

#include <whence/labels.hpp>
#include <whence/profile.hpp>  // what reads: without it nothing is recorded

namespace {

const std::string handler = "/search/by-name";
const std::string tenant = "acme-corporation";

void one_label(benchmark::State& state) {
  for (auto _ : state) {
    const whence::scoped_labels scope{{"handler", handler}};
    benchmark::DoNotOptimize(&scope);
  }
}
BENCHMARK(one_label);

void two_labels(benchmark::State& state) {
  for (auto _ : state) {
    const whence::scoped_labels scope{{"handler", handler}, {"tenant", tenant}};
    benchmark::DoNotOptimize(&scope);
  }
}
BENCHMARK(two_labels);

void a_set_over_others(benchmark::State& state) {
  const whence::labels set{{"handler", handler}, {"tenant", tenant}};
  const whence::scoped_labels outer{{"service", "index"}};
  for (auto _ : state) {
    const whence::scoped_labels scope(set);
    benchmark::DoNotOptimize(&scope);
  }
}
BENCHMARK(a_set_over_others);

void carried_labels(benchmark::State& state) {
  const whence::labels set{{"handler", handler}, {"tenant", tenant}};
  for (auto _ : state) {
    const whence::scoped_labels_only scope(set);
    benchmark::DoNotOptimize(&scope);
  }
}
BENCHMARK(carried_labels);

}  // namespace

BENCHMARK_MAIN();
