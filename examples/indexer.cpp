// SPDX-License-Identifier: Apache-2.0
//
// An inverted index (word -> the files it is in) over every text file below a directory, built in
// memory by several threads, which then shows where its memory came from and leaves profiles of it:
//   indexer [DIRECTORY [FOLDER]]      default: /usr/include, profiles to the current folder
//   go tool pprof -top -inuse_space heap.pb.gz
//   go tool pprof -top -alloc_space -base heap.1.pb.gz heap.pb.gz       the second half alone
//   go tool pprof -traces files.pb.gz                                   files open at half time
//   indexer DIRECTORY FOLDER PORT     again and again, with a server, until it is interrupted
//   go tool pprof http://127.0.0.1:PORT/debug/pprof/profile?seconds=5   or a browser, at .../ui
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <whence/flamegraph.hpp>
#include <whence/server.hpp>
#include <whence/whence.hpp>

namespace fs = std::filesystem;
template <class T>
using tracking = whence::tracking_allocator<T>;
using string = std::basic_string<char, std::char_traits<char>, tracking<char>>;
using postings = std::vector<std::uint32_t, tracking<std::uint32_t>>;
using words = std::unordered_map<string, postings, std::hash<std::string_view>, std::equal_to<>,
                                 tracking<std::pair<const string, postings>>>;
using open_files = whence::custom_profile<"indexer.files">;
using index_shards = whence::custom_profile<"indexer.shards">;

// A part of the index with its own lock: mutex.pb.gz shows how seldom threads wait for one another.
struct shard {
  whence::tracked<index_shards> entry;
  whence::tracked_mutex<> lock{"shard"};
  words index;
};

// An open file. While it lives, it is one entry in the profile indexer.files.
struct source_file {
  std::ifstream file;
  whence::tracked<open_files> entry;

  explicit source_file(const fs::path& path) : file(path, std::ios::binary) {}

  bool read(string& content) {
    content.clear();
    std::array<char, 1 << 14> block;
    while (file.read(block.data(), block.size()) || file.gcount() > 0)
      content.append(block.data(), static_cast<std::size_t>(file.gcount()));
    return file.eof();
  }
};

struct indexer {
  std::vector<fs::path> paths;
  fs::path folder;
  std::array<shard, 16> shards{};
  std::atomic<std::size_t> next{0}, files{0}, binary{0}, unreadable{0}, bytes{0};
  std::atomic<bool> half{false}, failed{false};

  void save(const whence::profile& profile, const char* file) {
    const std::error_code error = profile.write_to(folder / file);
    if (error) failed = std::fprintf(stderr, "%s: %s\n", file, error.message().c_str()) != 0;
  }

  void add(const string& content, std::uint32_t file) {
    const auto in_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
    std::unordered_set<std::string_view> found;
    for (auto at = content.begin(); at != content.end();) {
      const auto begin = std::find_if(at, content.end(), in_word);
      at = std::find_if_not(begin, content.end(), in_word);
      if (at - begin > 1 && at - begin <= 64) found.emplace(begin, at);
    }
    for (const std::string_view word : found) {
      shard& s = shards[std::hash<std::string_view>{}(word) % shards.size()];
      const std::scoped_lock hold(s.lock);
      s.index[string(word)].push_back(file);
    }
  }

  void work() {
    string content;
    for (std::size_t i; (i = next++) < paths.size();) {
      source_file file(paths[i]);
      if (!file.read(content)) {
        ++unreadable;
        continue;
      }
      if (i >= paths.size() / 2 && !half.exchange(true)) {  // while this file is open
        save(open_files::get(), "files.pb.gz");
        save(*whence::lookup("heap"), "heap.1.pb.gz");
      }
      if (content.find('\0') != string::npos) {
        ++binary;
        continue;
      }
      add(content, static_cast<std::uint32_t>(i));
      ++files;
      bytes += content.size();
      if (i % 256 == 0 && isatty(STDERR_FILENO) == 1)
        std::fprintf(stderr, "\r%zu of %zu files ", i, paths.size());
    }
  }
};

static indexer it;

// Builds the index, and prints the result.
static void run() {
  it.next = it.files = it.binary = it.unreadable = it.bytes = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers(std::clamp(std::thread::hardware_concurrency(), 2U, 8U));
    for (std::jthread& worker : workers) worker = std::jthread([] { it.work(); });
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (isatty(STDERR_FILENO) == 1) std::fputs("\r\033[K", stderr);
  std::size_t count = 0;
  for (const shard& s : it.shards) count += s.index.size();
  const double mb = static_cast<double>(it.bytes) / 1e6;
  std::printf("%zu words in %zu files (%zu binary, %zu unreadable), %.1f MB in %.2f s: %.1f MB/s\n",
              count, it.files.load(), it.binary.load(), it.unreadable.load(), mb, took.count(),
              mb / took.count());
}

int main(int argc, char** argv) {
  if (argc > 4 || (argc > 1 && argv[1][0] == '-'))
    return std::fputs("usage: indexer [DIRECTORY [FOLDER [PORT]]]\n", stderr), 2;
  const fs::path root = argc > 1 ? argv[1] : "/usr/include";
  it.folder = argc > 2 ? argv[2] : ".";
  std::optional<whence::server> profiles;
  if (argc > 3) {
    profiles.emplace("127.0.0.1", std::atoi(argv[3]));
    if (const std::error_code error = profiles->error())
      return std::fprintf(stderr, "indexer: port %s: %s\n", argv[3], error.message().c_str()), 1;
    std::printf("http://127.0.0.1:%d/debug/pprof/ui\n", profiles->port());
  }
  std::error_code error;
  // Links to directories are not followed, so a loop of links does no harm.
  fs::recursive_directory_iterator entry(root, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::end(entry); entry.increment(error)) {
    std::error_code vanished;
    if (entry->is_regular_file(vanished)) it.paths.push_back(entry->path());
  }
  if (error)
    return std::fprintf(stderr, "indexer: %s: %s\n", root.c_str(), error.message().c_str()), 1;
  run();
  if (whence::write_top(stdout, whence::lookup("heap")->snapshot(), 8)) it.failed = true;
  for (const char* name : {"heap", "allocs", "block", "mutex"})
    it.save(*whence::lookup(name), (std::string(name) + ".pb.gz").c_str());
  it.save(index_shards::get(), "shards.pb.gz");
  if (whence::write_flamegraph(it.folder / "flamegraph.html", whence::lookup("heap")->snapshot()))
    it.failed = true;
  while (profiles && !it.failed) {
    std::fflush(stdout);
    for (shard& s : it.shards) s.index.clear();
    run();
  }
  return it.failed ? 1 : 0;
}
