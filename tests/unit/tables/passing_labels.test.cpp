// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <whence/instruments/label_word.hpp>
#include <whence/tables/passing_labels.hpp>

using namespace whence;
using tables::passing_labels;

namespace {

struct workplace {
  explicit workplace(std::size_t limit = std::size_t{16} << 20) : share(limit) {}

  sys::memory_budget share, records{std::size_t{1} << 20};
  sys::arena arena{records};
  tables::losses lost;
  sys::spin_lock lock;
  tables::thread_records threads{arena};
  passing_labels labels{share, threads, lock, lost};
  std::string_view request = "request", span = "span";

  tables::thread_record& me() {
    // (In a test that made another table, the thread's pointer is that table's.)
    for (auto& r : mine) {
      if (r.first == std::this_thread::get_id()) return *r.second;
    }
    threads.own().store(nullptr);
    mine.emplace_back(std::this_thread::get_id(), threads.take());
    return *mine.back().second;
  }
  ~workplace() {
    for (auto& r : mine) r.second->forget();
    threads.own().store(nullptr);
  }
  std::vector<std::pair<std::thread::id, tables::thread_record*>> mine;

  std::uint64_t keep(std::string_view value, std::uint64_t above = 0, std::uint64_t below = 0) {
    return keep(me(), request, value, above, below);
  }
  std::uint64_t keep(tables::thread_record& r, const std::string_view& key, std::string_view value,
                     std::uint64_t above = 0, std::uint64_t below = 0) {
    tables::replaced_label one{&key, value, hash(key, value)};
    return above == 0 && below == 0 ? labels.keep(r, {&one, 1})
                                    : labels.keep(r, {&one, 1}, above, below);
  }
  static std::uint64_t hash(std::string_view key, std::string_view value) {
    return tables::combined_hash(tables::hash_of_text(key), tables::hash_of_text(value));
  }
  // "void" if it is.
  std::string text(std::uint64_t ticket) const {
    const tables::label_values v = labels.find(ticket);
    if (v.empty()) return "void";
    // A key's address is one only if the word is valid.
    std::atomic<std::uint64_t> words[passing_labels::most_words];
    for (std::size_t i = 0; i < v.size; ++i) words[i] = v.words[i].load();
    if (!v.still_valid()) return "void";
    std::string all;
    const tables::label_values copy{words, v.size, v.hash};
    copy.for_each([&](std::uint64_t head, const std::atomic<std::uint64_t>* text) {
      char value[512];
      tables::label_values::copy_text(head, text, value);
      all += std::string(tables::label_values::key(head)) + "=" +
             std::string(value, tables::label_values::text_size(head)) + " ";
    });
    return all;
  }
};

}  // namespace

TEST_CASE("a ticket stands for its values until a lap of the ring later") {
  workplace w;
  CHECK(w.text(0) == "void");
  CHECK(w.text(0x12345678) == "void");
  const std::uint64_t first = w.keep("4711");
  REQUIRE(first != 0);
  CHECK(w.text(first) == "request=4711 ");
  CHECK(w.text(w.keep("")) == "request= ");
  const std::string trace = "0123456789abcdef0123456789abcdef", longest(128, 'x');
  CHECK(w.text(w.keep(trace)) == "request=" + trace + " ");
  CHECK(w.text(w.keep(longest)) == "request=" + longest + " ");
  const std::size_t used = w.share.used();
  CHECK(used <= (std::size_t{2} << 20) + 4096);
  std::uint64_t newest = 0;
  for (int i = 0; i < 20'000; ++i) newest = w.keep("id " + std::to_string(i));
  CHECK(w.text(first) == "request=4711 ");
  CHECK(w.text(newest) == "request=id 19999 ");
  for (int i = 0; i < 20'000; ++i) newest = w.keep("id " + std::to_string(i));
  CHECK(w.text(first) == "void");
  CHECK(w.text(newest) == "request=id 19999 ");
  CHECK(w.share.used() == used);
  CHECK_FALSE(w.lost.any());
}

TEST_CASE("equal values have equal hashes, different ones different hashes") {
  workplace w;
  const std::uint64_t a = w.keep("a"), again = w.keep("a"), b = w.keep("b");
  CHECK(a != again);
  CHECK(w.labels.find(a).hash == w.labels.find(again).hash);
  CHECK(w.labels.find(a).hash != w.labels.find(b).hash);
  CHECK(w.labels.find(a).hash != w.labels.find(w.keep(w.me(), w.span, "a")).hash);
}

TEST_CASE("values over others have those of the keys that they lack") {
  workplace w;
  const std::uint64_t outer = w.keep("1");
  const std::uint64_t both = w.keep(w.me(), w.span, "s", 0, outer);
  CHECK(w.text(both) == "span=s request=1 ");
  CHECK(w.text(w.labels.keep(w.me(), {}, w.keep("2"), both)) == "request=2 span=s ");
  CHECK(w.labels.keep(w.me(), {}) == 0);
  CHECK_FALSE(w.lost.any());
}

TEST_CASE("what a thread carries lives on, and so does what is below it") {
  workplace w;
  const std::uint64_t outer = w.keep("of a long request");
  const std::uint64_t inner = w.keep(w.me(), w.span, "inner", 0, outer);
  w.me().labels.store(instruments::label_word(17, inner));
  std::thread other([&] {
    tables::thread_record& r = w.me();
    for (int i = 0; i < 200'000; ++i) REQUIRE(w.keep(r, w.request, std::to_string(i)) != 0);
  });
  other.join();
  CHECK(w.text(inner) == "span=inner request=of a long request ");
  CHECK(w.text(outer) == "request=of a long request ");
  w.me().labels.store(0);
  for (int i = 0; i < 100'000; ++i) REQUIRE(w.keep(std::to_string(i)) != 0);
  CHECK(w.text(inner) == "void");
  CHECK(w.text(outer) == "void");
  CHECK_FALSE(w.lost.any());
}

TEST_CASE("too many values for one set are cut, too little memory keeps none, and both count") {
  workplace w;
  std::vector<std::string_view> keys(20, "key");
  std::vector<tables::replaced_label> many;
  const std::string value(60, 'v');
  for (const std::string_view& k : keys) many.push_back({&k, value, w.hash(k, value)});
  const std::uint64_t ticket = w.labels.keep(w.me(), {many.data(), many.size()});
  std::string kept = w.text(ticket);
  CHECK(kept.size() >= 300);
  CHECK(kept.size() <= 8 * passing_labels::most_words);
  CHECK(w.lost.of(tables::loss::passing_labels) == 1);

  workplace poor(1024);
  CHECK(poor.keep("x") == 0);
  CHECK(poor.lost.of(tables::loss::passing_labels) == 1);
  CHECK(poor.share.used() == 0);
  poor.share.set_limit(std::size_t{1} << 20);
  CHECK(poor.text(poor.keep("x")) == "request=x ");  // refused once, not for ever
  CHECK(poor.share.used() <= poor.share.limit() / 8);
}

TEST_CASE("idle threads, and those that carry a value, leave room to others") {
  constexpr std::size_t threads = 60;
  workplace w(std::size_t{160} << 10);  // 19 chunks
  std::vector<tables::thread_record> all(threads + 1);
  for (std::size_t i = 0; i < threads; ++i) {
    const std::uint64_t ticket = w.keep(all[i], w.request, "carried by " + std::to_string(i));
    CHECK(ticket != 0);
  }
  for (int i = 0; i < 10'000; ++i) {
    CHECK(w.keep(all[threads], w.request, std::to_string(i)) != 0);
  }
  CHECK_FALSE(w.lost.any());
}

TEST_CASE("more threads carry a value than there are chunks") {
  workplace w(std::size_t{160} << 10);
  std::vector<std::uint64_t> tickets;
  for (int i = 0; i < 60; ++i) {
    w.threads.own().store(nullptr);
    tables::thread_record& r = *w.threads.take();
    r.tid.store(tables::thread_records::claimed);  // no other thread takes it
    tickets.push_back(w.keep(r, w.request, std::to_string(i)));
    r.labels.store(instruments::label_word(17, tickets.back()));
  }
  CHECK_FALSE(w.lost.any());
  // Now all chunks are left out, so there is room only until they are full.
  tables::thread_record& busy = w.me();
  for (int i = 0; i < 1000; ++i) (void)w.keep(busy, w.span, "s");
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    CHECK(w.text(tickets[i]) == "request=" + std::to_string(i) + " ");
  }
}

TEST_CASE("a slow thread keeps what it carries, wherever the others are in the ring") {
  workplace w;
  w.threads.own().store(nullptr);
  tables::thread_record& slow = *w.threads.take();
  slow.tid.store(tables::thread_records::claimed);
  tables::thread_record& busy = w.me();
  for (int i = 0; i < 1000; ++i) {
    const std::string value = std::to_string(i);
    const std::uint64_t ticket = w.keep(slow, w.request, value);
    slow.labels.store(instruments::label_word(17, ticket));
    for (int k = 0; k < 3500; ++k) REQUIRE(w.keep(busy, w.span, "s") != 0);
    REQUIRE(w.text(ticket) == "request=" + value + " ");
    slow.labels.store(0);  // between two requests
    for (int k = 0; k < 1300; ++k) REQUIRE(w.keep(busy, w.span, "s") != 0);
  }
}

TEST_CASE("a thread that ends leaves its chunk to others") {
  workplace w(std::size_t{160} << 10);  // 16 chunks
  for (int i = 0; i < 100; ++i) {
    std::thread t([&] {
      tables::thread_record& r = w.me();
      REQUIRE(w.keep(r, w.request, "x") != 0);
      r.forget();
      w.mine.pop_back();
      w.threads.own().store(nullptr);
    });
    t.join();
  }
  CHECK_FALSE(w.lost.any());
}

// Invariant: what is read is what was written with that ticket, or void.
TEST_CASE("readers see whole values while writers go round and round") {
  workplace w(std::size_t{160} << 10);
  std::atomic<std::uint64_t> shown{0};
  std::atomic<bool> done{false};
  std::atomic<int> bad{0}, whole{0};
  tables::thread_record& writer = w.me();
  std::thread reader([&] {
    while (!done) {
      const std::string text = w.text(shown.load());
      if (text == "void") continue;
      ++whole;
      // request=N, ten times the same digit.
      for (std::size_t i = 9; i + 1 < text.size(); ++i) bad += text[i] != text[8] ? 1 : 0;
    }
  });
  std::uint64_t before = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t ticket =
        w.keep(writer, w.request,
               std::string(static_cast<std::size_t>(20 + i % 40), static_cast<char>('0' + i % 10)));
    // Sometimes one that is about to be void.
    shown.store(i % 3 == 0 ? ticket : before);
    if (i % 200 == 0) before = ticket;
  }
  while (whole == 0) std::this_thread::yield();
  done = true;
  reader.join();
  CHECK(bad == 0);
}

TEST_CASE("threads that take chunks from one another write whole values") {
  workplace w(std::size_t{160} << 10);
  constexpr std::size_t writers = 40;
  std::vector<tables::thread_record> records(writers);
  std::atomic<int> bad{0};
  std::vector<std::thread> all;
  for (std::size_t n = 0; n < 4; ++n) {
    all.emplace_back([&, n] {
      for (std::size_t i = 0; i < 40'000; ++i) {
        tables::thread_record& r = records[n + 4 * (i % 10)];
        const std::string value(20 + i % 40, static_cast<char>('0' + n));
        const std::string text = w.text(w.keep(r, w.request, value));
        bad += text != "void" && text != "request=" + value + " " ? 1 : 0;
      }
    });
  }
  for (std::thread& t : all) t.join();
  CHECK(bad == 0);
}
