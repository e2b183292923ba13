// SPDX-License-Identifier: Apache-2.0
//
// Writes a custom profile of 10 thousand, 100 thousand and a million stacks of 24 frames: encoded,
// and encoded and compressed. `distinct` names the kind of stacks:
//
//   48       the bits of a stack's number choose between two calls frame by frame, as in
//            bench/peers/write_profile.go: all are different
//   12000    a program has 2000 runs of six calls, each run always the same and some taken far more
//            often than others; a stack is four of them: nearly all are different
//
// libprotobuf encodes the same content in an arena, as a program without a writer would: message by
// message, then one serialization. It gets the numbers of the addresses from the same index. Names
// are invented and cost nothing. raw_MB is the encoded size, out_MB what reached the sink.
#include <benchmark/benchmark.h>
#include <google/protobuf/arena.h>
#include <profile.pb.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <whence/format/address_index.hpp>
#include <whence/format/gzip.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace {

namespace pb = perftools::profiles;
using namespace whence;

constexpr std::size_t depth = 24;
constexpr std::uintptr_t first_address = 0x400000;
constexpr const char* name = "bench.stacks";
constexpr std::int64_t few = 2 * depth;
constexpr std::int64_t many = 12'000;

struct made_up_code {
  const symbols::location& resolve(std::uintptr_t) const {
    static const symbols::frame frame{"app::function(int)", "_ZN3app8functionEi", "app.cpp", 7};
    static const symbols::location location{{&frame, 1}, first_address};
    return location;
  }
  sys::vector<symbols::mapping> mappings() const {
    return {{first_address, first_address + 0x100000, 0, "/usr/bin/app", "00ff"}};
  }
};

// The rows of a profile, their stacks in one block of memory as a live table has them.
struct content {
  explicit content(const benchmark::State& state)
      : pcs(static_cast<std::size_t>(state.range(0)) * depth) {
    state.range(1) == few ? choose_calls() : choose_runs();
  }

  void choose_calls() {
    for (std::size_t i = 0; i < pcs.size(); ++i) {
      const std::size_t frame = i % depth;
      pcs[i] = address(2 * frame + (i / depth >> frame & 1));
    }
  }
  void choose_runs() {
    constexpr std::size_t run = 6;
    std::uint64_t state = 1;
    for (std::size_t i = 0; i < pcs.size(); i += run) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const double draw = static_cast<double>(state >> 11) / 9007199254740992.0;
      const auto which = static_cast<std::size_t>(draw * draw * draw * (many / run));
      for (std::size_t call = 0; call < run; ++call) pcs[i + call] = address(which * run + call);
    }
  }
  static std::uintptr_t address(std::size_t number) { return first_address + 1 + 16 * number; }

  std::size_t rows() const { return pcs.size() / depth; }
  profile_row row(std::size_t i) const {
    profile_row r;
    r.stack = std::span(pcs).subspan(i * depth, depth);
    r.values = {static_cast<std::int64_t>(i % 100 + 1)};
    return r;
  }
  std::vector<std::uintptr_t> pcs;
};

profile_header header() {
  profile_header h;
  h.name = name;
  h.time_ns = 1;
  return h;
}

void report(benchmark::State& state, std::size_t encoded, std::size_t written) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(encoded));
  state.counters["raw_MB"] = static_cast<double>(encoded) / 1e6;
  state.counters["out_MB"] = static_cast<double>(written) / 1e6;
}

template <class Gzip>
std::size_t write(const content& c) {
  std::size_t bytes = 0;
  sink out([&bytes](std::span<const std::byte> part) {
    bytes += part.size();
    return std::error_code();
  });
  format::basic_profile_writer<Gzip, made_up_code> writer(out, header());
  for (std::size_t i = 0; i < c.rows(); ++i) writer.add(c.row(i));
  return writer.finish() ? 0 : bytes;
}

template <class Gzip>
void whence_writer(benchmark::State& state) {
  const content c(state);
  const std::size_t encoded = write<format::stored>(c);
  std::size_t written = 0;
  for (auto _ : state) {
    written = write<Gzip>(c);
    if (written == 0) state.SkipWithError("the profile could not be written");
  }
  report(state, encoded, written);
}

// Writes the same as whence, with the generated classes.
std::size_t write_with_protobuf(const content& c, std::string& out) {
  google::protobuf::Arena arena;
  auto* const p = google::protobuf::Arena::CreateMessage<pb::Profile>(&arena);
  std::vector<std::string_view> texts{""};
  const auto text = [&](std::string_view t) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (texts[i] == t) return static_cast<std::int64_t>(i);
    }
    texts.push_back(t);
    return static_cast<std::int64_t>(texts.size() - 1);
  };
  format::address_index index;
  for (std::size_t i = 0; i < c.rows(); ++i) {
    const profile_row row = c.row(i);
    pb::Sample* const sample = p->add_sample();
    for (const std::uintptr_t pc : row.stack) sample->add_location_id(index.id(pc - 1));
    sample->add_value(row.values[0]);
  }
  const made_up_code code;
  const symbols::frame& f = code.resolve(0).frames[0];
  pb::Function* const function = p->add_function();
  function->set_id(1);
  function->set_name(text(f.name));
  function->set_system_name(text(f.system_name));
  function->set_filename(text(f.file));
  for (std::size_t i = 0; i < index.addresses().size(); ++i) {
    pb::Location* const location = p->add_location();
    location->set_id(i + 1);
    location->set_mapping_id(1);
    location->set_address(index.addresses()[i]);
    pb::Line* const line = location->add_line();
    line->set_function_id(1);
    line->set_line(f.line);
  }
  const symbols::mapping m = code.mappings()[0];
  pb::Mapping* const mapping = p->add_mapping();
  mapping->set_id(1);
  mapping->set_memory_start(m.start);
  mapping->set_memory_limit(m.limit);
  mapping->set_filename(text(m.filename));
  mapping->set_build_id(text(m.build_id));
  mapping->set_has_functions(true);
  mapping->set_has_filenames(true);
  mapping->set_has_line_numbers(true);
  mapping->set_has_inline_frames(true);
  pb::ValueType* const type = p->add_sample_type();
  type->set_type(text(name));
  type->set_unit(text("count"));
  p->mutable_period_type()->set_type(text(name));
  p->mutable_period_type()->set_unit(text("count"));
  p->set_period(header().period);
  p->set_time_nanos(header().time_ns);
  for (const std::string_view t : texts) p->add_string_table(std::string(t));
  out.clear();
  return p->SerializeToString(&out) ? out.size() : 0;
}

void libprotobuf_arena(benchmark::State& state) {
  const content c(state);
  std::string out;
  std::size_t written = 0;
  for (auto _ : state) written = write_with_protobuf(c, out);
  // Otherwise the comparison would be of different content.
  if (written != write<format::stored>(c)) state.SkipWithError("the two contents differ in size");
  report(state, written, written);
}

// The part of the above that looks up addresses: 24 for each stack.
void address_look_ups(benchmark::State& state) {
  const content c(state);
  for (auto _ : state) {
    format::address_index index;
    std::uint64_t sum = 0;
    for (const std::uintptr_t pc : c.pcs) sum += index.id(pc);
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(c.pcs.size()));
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgsProduct({{10'000, 100'000, 1'000'000}, {few, many}})->ArgNames({"stacks", "distinct"});
  b->Unit(benchmark::kMillisecond)->UseRealTime();
}
BENCHMARK(whence_writer<format::stored>)->Apply(sizes);
#if WHENCE_WITH_ZLIB
BENCHMARK(whence_writer<format::zlib_gzip>)->Apply(sizes);
#endif
BENCHMARK(libprotobuf_arena)->Apply(sizes);
BENCHMARK(address_look_ups)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
