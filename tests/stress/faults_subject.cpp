// SPDX-License-Identifier: Apache-2.0
//
// A program that uses every page, for faults.py, which lets the system fail at one call after the
// other (faults.cpp). Each page is used twice:
//
//   the first time     what it returns is whole; or it says what is missing, by an error, an
//                      exception, a status of HTTP or a comment that it has not else
//   the second time    it is whole, if only one call failed: a passing failure is not remembered
//
// faults_subject PAGE   prints a line for each use, and `failed N descriptors N kib N`;
//                       its status is 1 if something is missing without a word.
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "../http/raw_client.hpp"
#include <whence/server.hpp>
#include <whence/whence.hpp>

extern "C" {
[[gnu::weak]] void faults_begin();
[[gnu::weak]] void faults_end();
[[gnu::weak]] long faults_failed();
[[gnu::weak]] const char* faults_calls(int i, long* calls);
[[gnu::weak]] void faults_pause_by(int n);
}

namespace {

using namespace std::chrono_literals;

// The calling thread's calls are the program's, and do not fail.
struct faults_pause {
  faults_pause() { by(1); }
  ~faults_pause() { by(-1); }
  static void by(int n) {
    if (faults_pause_by != nullptr) faults_pause_by(n);
  }
};

const bool has_lines = whence::config::with_libdw;
std::string program;  // its path, as the kernel lists it
bool is_second = false;
bool is_right = true;
bool is_lacking = false;  // a use of the first round was not whole, or said that it lacks something
bool has_passed = false;  // a call failed in the first round, and no further one will
std::set<std::string> usual;  // comments that a profile has without a failure, digits left out

struct result {
  std::string text;  // comments, and the profile
  std::error_code error;
  std::string exception;
};

std::string without_digits(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

// True of what symbols lack, which is asked for again. (What was lost of a profile's counts remains
// lost, and is said as long as the process lives.)
bool is_of_names(std::string_view said) {
  return said.find("could not be read") != said.npos || said.find("no memory to read") != said.npos;
}

void note(const char* page, const char* what, bool is_whole, const std::string& said) {
  const faults_pause ours;
  const bool is_stale = has_passed && is_of_names(said);
  const char* const how = !is_whole && said.empty() ? "SILENT"
                          : is_whole && !is_stale   ? "whole"
                                                    : "said";
  if (!is_whole && (said.empty() || has_passed)) is_right = false;
  if (is_stale) is_right = false;
  is_lacking = is_lacking || !said.empty();
  std::printf("%s %s %d %s %s\n", page, what, is_second ? 2 : 1, how, said.c_str());
}

bool is_about_loss(std::string_view line) {
  return line.find(" could not be ") != line.npos || line.find(" cannot be ") != line.npos;
}

// The lines of comments of a text, and of what could not be done.
std::set<std::string> comments_in(const std::string& text) {
  std::set<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.starts_with("# ") || is_about_loss(line)) lines.emplace(line);
    at = end + 1;
  }
  return lines;
}

// What the lines say that is not said without a failure.
std::string news(const std::set<std::string>& lines) {
  const faults_pause ours;
  std::string text;
  for (const std::string& line : lines) {
    if (std::getenv("FAULTS_SHOW") != nullptr) {
      std::printf("usual %s\n", without_digits(line).c_str());
    } else if (!usual.contains(without_digits(line))) {
      text += "comment: " + line + "; ";
    }
  }
  return text;
}

// Runs `make`, which returns a profile's text, in which `parts` are looked for.
void use(const char* page, const char* what, std::initializer_list<std::string> parts,
         const std::function<std::error_code(std::string&, whence::profile_snapshot&)>& make) {
  std::string text, said;
  whence::profile_snapshot snapshot;
  try {
    if (const std::error_code error = make(text, snapshot)) {
      const faults_pause ours;
      said = "error: " + error.message();
    }
  } catch (const std::exception& e) {
    const faults_pause ours;
    said = std::string("exception: ") + e.what();
  }
  const faults_pause ours;
  bool is_whole = said.empty();
  for (const std::string& part : parts) is_whole = is_whole && text.find(part) != text.npos;
  std::set<std::string> lines = comments_in(text);
  for (const std::string& line : snapshot.header.comments) lines.insert(line);
  if (std::getenv("FAULTS_USUAL") != nullptr || std::getenv("FAULTS_SHOW") != nullptr) {
    said += news(lines);
  }
  if (!is_whole && std::getenv("FAULTS_DUMP") != nullptr) std::puts(text.c_str());
  note(page, what, is_whole, said);
}

std::error_code look_up(const char* name, std::string& text, whence::profile_snapshot& snapshot) {
  whence::profile* const p = whence::lookup(name);
  if (p == nullptr) return std::make_error_code(std::errc::no_such_file_or_directory);
  snapshot = p->snapshot();
  return p->write_to(text, 1);
}

// ---- the pages

template <int Round>
[[gnu::noinline]] void* heap_work() {
  void* const p = whence::tracking_allocator<char>().allocate(1000);
  asm volatile("");
  return p;
}
template <int Round>
void heap() {
  (void)whence::set_heap_profile_rate(1);
  use("heap", "text", {"heap_work"}, [](std::string& text, whence::profile_snapshot& snapshot) {
    void* const p = heap_work<Round>();
    const std::error_code error = look_up("heap", text, snapshot);
    whence::tracking_allocator<char>().deallocate(static_cast<char*>(p), 1000);
    return error;
  });
  use("heap", "file", {}, [](std::string&, whence::profile_snapshot&) {
    const std::string path = "/tmp/whence_faults_" + std::to_string(::getpid());
    const std::error_code error = whence::write_heap_profile(path.c_str());
    ::unlink(path.c_str());
    return error;
  });
}

template <int Round>
[[gnu::noinline]] void contend(whence::tracked_mutex<>& m) {
  m.lock();
  m.unlock();
  asm volatile("");
}
bool sleeps(::pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  char text[256]{};
  if (std::FILE* const f = std::fopen(path.c_str(), "r")) {
    (void)!std::fgets(text, sizeof text, f);
    std::fclose(f);
  }
  return std::string_view(text).find(") S") != std::string_view::npos;
}
template <int Round>
void locks() {
  (void)whence::set_block_profile_rate(1);
  (void)whence::set_mutex_profile_fraction(1);
  (void)whence::set_mutex_hold_profile_rate(1);
  whence::tracked_mutex<> m{Round == 1 ? "first lock" : "second lock"};
  m.lock();
  std::thread waiter;
  {
    const faults_pause ours;
    std::atomic<::pid_t> number{0};
    waiter = std::thread([&] {
      {
        const faults_pause its_own;
        number = ::gettid();
      }
      contend<Round>(m);
    });
    // It waits for a lock if it sleeps there twice.
    for (int slept = 0, looked = 0; slept < 2 && looked < 1000; ++looked) {
      std::this_thread::sleep_for(10ms);
      slept = number != 0 && sleeps(number) ? slept + 1 : 0;
    }
  }
  m.unlock();
  waiter.join();
  const std::string name = Round == 1 ? "first lock" : "second lock";
  for (const char* profile : {"block", "mutex", "mutex_hold"}) {
    use("locks", profile, {name}, [profile](std::string& text, whence::profile_snapshot& s) {
      return look_up(profile, text, s);
    });
  }
}

template <int Round>
[[gnu::noinline]] void custom_work(whence::profile& p, const void* value) {
  p.add(value, 0);
  asm volatile("");
}
template <int Round>
void custom() {
  use("custom", "text", {"custom_work"}, [](std::string& text, whence::profile_snapshot& s) {
    static int value = 0;
    const char* const name = Round == 1 ? "first.custom" : "second.custom";
    whence::profile& p = whence::new_profile(name);
    custom_work<Round>(p, &value);
    const std::error_code error = look_up(name, text, s);
    p.remove(&value);
    return error;
  });
}

template <int Round>
void threads() {
  use("threads", "threadcreate", {"threads<"}, [](std::string& text, whence::profile_snapshot& s) {
    std::atomic<bool> ends{false};
    whence::tracked_jthread t(whence::thread_name{"fault thread"}, [&ends] { ends.wait(false); });
    const struct ending {
      std::atomic<bool>& it;
      ~ending() {
        it = true;
        it.notify_all();
      }
    } even_if_it_throws{ends};
    s = whence::lookup("threadcreate")->snapshot();
    return whence::lookup("threadcreate")->write_to(text, 1);
  });
}

template <int Round>
[[gnu::noinline]] void labelled_work() {
  whence::scoped_labels scope("route", Round == 1 ? "/first" : "/second");
  (void)whence::tracking_allocator<char>().allocate(2000);
  asm volatile("");
}
template <int Round>
void labels() {
  (void)whence::set_heap_profile_rate(1);
  use("labels", "text", {Round == 1 ? "/first" : "/second"},
      [](std::string& text, whence::profile_snapshot& s) {
        labelled_work<Round>();
        return look_up("heap", text, s);
      });
}

template <int Round>
[[gnu::noinline]] void cpu_work() {
  const auto cpu_ns = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000L + now.tv_nsec;
  };
  for (const long end = cpu_ns() + 40'000'000; cpu_ns() < end;) {
    for (volatile int i = 0; i < 10'000;) i = i + 1;
  }
  asm volatile("");
}

// What is in a message of protobuf: calls f(field, number, bytes) for each of its fields.
template <class F>
void each_field(std::string_view message, F f) {
  const auto number = [&message] {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !message.empty() && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if ((byte & 0x80U) == 0) break;
    }
    return value;
  };
  while (!message.empty()) {
    const std::uint64_t tag = number();
    const std::uint64_t value = number();
    if ((tag & 7) != 2) {
      f(tag >> 3, value, std::string_view());
      continue;
    }
    const std::string_view bytes = message.substr(0, value);
    message.remove_prefix(bytes.size());
    f(tag >> 3, std::uint64_t{0}, bytes);
  }
}

std::string unpacked(std::string& file) {
  std::string all(std::size_t{16} << 20, '\0');
  ::z_stream stream{};
  if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return {};
  stream.next_in = reinterpret_cast<Bytef*>(file.data());
  stream.avail_in = static_cast<uInt>(file.size());
  stream.next_out = reinterpret_cast<Bytef*>(all.data());
  stream.avail_out = static_cast<uInt>(all.size());
  (void)::inflate(&stream, Z_FINISH);
  all.resize(stream.total_out);
  ::inflateEnd(&stream);
  return all;
}

// A file of profile.proto in lines: "function NAME in FILE", "mapping FILE", "# COMMENT".
std::string lines_of(std::string& file) {
  const faults_pause ours;
  const std::string all = unpacked(file);
  std::vector<std::string_view> texts;
  each_field(all, [&texts](std::uint64_t field, std::uint64_t, std::string_view bytes) {
    if (field == 6) texts.push_back(bytes);
  });
  const auto text = [&texts](std::uint64_t i) {
    return std::string(i < texts.size() ? texts[i] : std::string_view());
  };
  std::string lines;
  each_field(all, [&](std::uint64_t field, std::uint64_t, std::string_view bytes) {
    std::uint64_t of[16]{};
    if (field == 3 || field == 5) {
      each_field(bytes, [&of](std::uint64_t part, std::uint64_t value, std::string_view) {
        if (part < 16) of[part] = value;
      });
    }
    if (field == 3) lines += "mapping " + text(of[5]) + "\n";
    if (field == 5) lines += "function " + text(of[2]) + " in " + text(of[4]) + "\n";
    if (field == 13) {  // packed
      std::uint64_t i = 0;
      unsigned shift = 0;
      for (const char c : bytes) {
        i |= std::uint64_t{static_cast<unsigned char>(c) & 0x7fU} << shift;
        shift += 7;
        if ((static_cast<unsigned char>(c) & 0x80U) != 0) continue;
        lines += "# " + text(i) + "\n";
        i = shift = 0;
      }
    }
  });
  return lines;
}

// What a whole file has: our function with its place, and the program's mapping.
bool is_whole_file(const std::string& lines, const std::string& function) {
  const std::size_t at = lines.find(function + " in ");
  if (at == lines.npos || lines.find("mapping " + program) == lines.npos) return false;
  return !has_lines || lines.substr(at, lines.find('\n', at) - at).ends_with("faults_subject.cpp");
}

template <class Session>
std::error_code text_of(Session& session, const char* function, std::string& text,
                        whence::profile_snapshot& s) {
  if (session.error()) return session.error();
  session.stop();
  s = session.snapshot();
  std::string file;
  if (const std::error_code error = session.write_to(file)) return error;
  text = lines_of(file);
  const faults_pause ours;
  text += is_whole_file(text, function) ? "whole file\n" : "";
  return {};
}
template <int Round>
void cpu() {
  use("cpu", "file", {"whole file"}, [](std::string& text, whence::profile_snapshot& s) {
    whence::cpu_session session({.hz = 1000});
    cpu_work<Round>();
    return text_of(session, "cpu_work", text, s);
  });
}

template <int Round>
[[gnu::noinline]] void wall_work() {
  std::this_thread::sleep_for(60ms);
  asm volatile("");
}
template <int Round>
void wall() {
  use("wall", "file", {"whole file"}, [](std::string& text, whence::profile_snapshot& s) {
    whence::wall_session session({.hz = 200});
    wall_work<Round>();
    return text_of(session, "wall_work", text, s);
  });
}

[[gnu::noinline]] void dump_sleeper(std::atomic<bool>& ends) {
  ends.wait(false);
  asm volatile("");
}
template <int Round>
void goroutine() {
  std::atomic<bool> ends{false}, has_begun{false};
  std::thread sleeper;
  {
    const faults_pause ours;
    sleeper = std::thread([&] {
      const faults_pause its_own;
      has_begun = true;
      dump_sleeper(ends);
    });
    while (!has_begun) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
  }
  for (const int debug : {1, 2}) {
    use("goroutine", debug == 1 ? "text" : "dump", {"dump_sleeper", "main"},
        [debug](std::string& text, whence::profile_snapshot& s) {
          whence::profile* const p = whence::lookup("goroutine");
          s = p->snapshot();
          return p->write_to(text, debug);
        });
  }
  const faults_pause ours;
  ends = true;
  ends.notify_all();
  sleeper.join();
}

template <int Round>
void serve_pages() {
  void* const p = heap_work<Round>();
  whence::server server("127.0.0.1", 0);
  if (server.error()) {
    const faults_pause ours;
    return note("serve", "start", false, "error: " + server.error().message());
  }
  const struct {
    const char *name, *method, *target, *body, *part;
  } asked[] = {
      {"heap", "GET", "/debug/pprof/heap?debug=1", "", "heap profile"},
      {"goroutine", "GET", "/debug/pprof/goroutine?debug=2", "", "main"},
      {"index", "GET", "/debug/pprof/", "", "goroutine"},
      {"symbol", "POST", "/debug/pprof/symbol", "0x1+0x2", "num_symbols"},
      {"window", "GET", "/debug/pprof/profile?seconds=1", "", ""},
      {"delta", "GET", "/debug/pprof/heap?seconds=1", "", ""},
  };
  const faults_pause ours;
  for (const auto& one : asked) {
    if (std::getenv("FAULTS_WINDOWS") == nullptr &&
        std::string_view(one.target).find("seconds") != std::string_view::npos) {
      continue;
    }
    raw_client client(server.port());
    // A server that never again gets a descriptor or memory for a client can tell it nothing.
    if (std::getenv("FAULTS_ALL") != nullptr) client.wait_at_most(1);
    const raw_answer a = client.ask(one.method, one.target, "", one.body);
    const bool is_whole = a.status == 200 && a.body.find(one.part) != a.body.npos;
    if (!is_whole && std::getenv("FAULTS_DUMP") != nullptr) std::puts(a.body.c_str());
    note("serve", one.name, is_whole,
         a.status == 200 ? news(comments_in(a.body))
         : a.status == 0 ? "hung up"
                         : "status " + std::to_string(a.status));
  }
  faults_pause::by(-1);
  server.stop();
  faults_pause::by(1);
  whence::tracking_allocator<char>().deallocate(static_cast<char*>(p), 1000);
}

template <int Round>
void serve() {
  try {
    serve_pages<Round>();
  } catch (const std::bad_alloc&) {
    const faults_pause ours;
    note("serve", "start", false, "exception: std::bad_alloc");
  }
}

template <int Round>
void fork_child() {
  std::unique_ptr<whence::cpu_session> parents;
  try {
    parents = std::make_unique<whence::cpu_session>(whence::cpu_options{.hz = 1000});
  } catch (const std::bad_alloc&) {
    const faults_pause ours;
    note("fork", "parent", false, "exception: std::bad_alloc");
  }
  std::fflush(nullptr);
  const ::pid_t child = ::fork();
  if (child == 0) {
    heap<Round>();
    cpu<Round>();
    std::fflush(nullptr);
    ::_exit(is_right ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) std::printf("fork child SIGNAL %d\n", WTERMSIG(status));
  if (status != 0) is_right = false;
}

long open_descriptors() {
  const faults_pause ours;
  long count = -3;  // ., .. and the folder's
  DIR* const d = ::opendir("/proc/self/fd");
  while (d != nullptr && ::readdir(d) != nullptr) ++count;
  if (d != nullptr) ::closedir(d);
  return count;
}

// The most memory that the process has had. (getrusage's goes on from the process that started it.)
long most_kib() {
  const faults_pause ours;
  long kib = 0;
  if (std::FILE* const f = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, f) != nullptr) {
      if (std::string_view(line).starts_with("VmHWM:")) kib = std::atol(line + 6);
    }
    std::fclose(f);
  }
  return kib;
}

}  // namespace

int main(int argc, char** argv) {
  ::alarm(60);
  char own[4096]{};
  if (::readlink("/proc/self/exe", own, sizeof own - 1) > 0) program = own;
  const std::string_view page = argc > 1 ? argv[1] : "";
  if (const char* const path = std::getenv("FAULTS_USUAL")) {
    std::FILE* const f = std::fopen(path, "r");
    char line[1024];
    while (f != nullptr && std::fgets(line, sizeof line, f) != nullptr) {
      const std::string_view text = line;
      if (text.starts_with("usual ")) usual.emplace(text.substr(6, text.size() - 7));
    }
    if (f != nullptr) std::fclose(f);
  }
  const struct {
    std::string_view name;
    void (*rounds[2])();
  } pages[] = {{"heap", {heap<1>, heap<2>}},       {"locks", {locks<1>, locks<2>}},
               {"custom", {custom<1>, custom<2>}}, {"threads", {threads<1>, threads<2>}},
               {"labels", {labels<1>, labels<2>}}, {"cpu", {cpu<1>, cpu<2>}},
               {"wall", {wall<1>, wall<2>}},       {"goroutine", {goroutine<1>, goroutine<2>}},
               {"serve", {serve<1>, serve<2>}},    {"fork", {fork_child<1>, fork_child<2>}}};
  if (faults_begin != nullptr) faults_begin();
  for (int round = 0; round < 2; ++round) {
    is_second = round == 1;
    // What could not be read a moment ago is read again only after a second.
    if (is_second && is_lacking && std::getenv("FAULTS_ALL") == nullptr) {
      const faults_pause ours;
      std::this_thread::sleep_for(1100ms);
    }
    has_passed = is_second && std::getenv("FAULTS_ALL") == nullptr && faults_failed != nullptr &&
                 faults_failed() > 0;
    for (const auto& one : pages) {
      if (one.name == page) one.rounds[round]();
    }
  }
  const long failed = faults_failed == nullptr ? 0 : faults_failed();
  if (faults_end != nullptr) faults_end();
  long calls = 0;
  for (int i = 0; faults_calls != nullptr; ++i) {
    const char* const name = faults_calls(i, &calls);
    if (name == nullptr) break;
    std::printf("calls %s %ld\n", name, calls);
  }
  std::printf("failed %ld descriptors %ld kib %ld\n", failed, open_descriptors(), most_kib());
  return is_right ? 0 : 1;
}
