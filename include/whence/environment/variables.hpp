// SPDX-License-Identifier: Apache-2.0
//
// What the variables of <whence/environment.hpp> ask for. They are read once, before main, because
// programs clear their environment (nginx), go to another folder (daemons) and write over their
// arguments (postgres).
//
// A value that cannot be meant is refused in one line, which names the variable, and counts as not
// set.
#ifndef WHENCE_ENVIRONMENT_VARIABLES_HPP
#define WHENCE_ENVIRONMENT_VARIABLES_HPP

#include <fnmatch.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/environment/file_name.hpp>
#include <whence/http/access.hpp>

namespace whence::inline v1::environment {

// The kinds of files, in the order in which they are written: the clocks first, so that they do not
// count the writing of the others.
enum class output : unsigned {
  cpu,
  wall,
  heap,
  allocs,
  block,
  mutex,
  mutex_hold,
  thread,
  threadcreate,
};
inline constexpr const char* output_names[] = {
    "cpu", "wall", "heap", "allocs", "block", "mutex", "mutex_hold", "thread", "threadcreate"};
inline constexpr unsigned output_count = sizeof output_names / sizeof output_names[0];

struct settings {
  std::string program;  // the last part of argv[0]
  std::string pattern;  // absolute
  std::uint32_t outputs = 0;
  std::vector<int> signals;
  std::int64_t every_s = 0;
  std::size_t keep = 10;
  bool serves = false;
  std::string http_host;  // or unix:PATTERN, absolute
  int http_port = 0;
  std::string token;
  bool is_other_program = false;  // WHENCE_ONLY names others
  bool follows_forks = true;
  bool follows_execs = true;
  int cpu_hz = 100;
  bool symbols = true;
  bool verbose = false;

  bool writes(output what) const noexcept {
    return (outputs >> static_cast<unsigned>(what) & 1U) != 0;
  }
  bool asks_for_anything() const noexcept { return outputs != 0 || serves; }
};

class settings_reader {
 public:
  // The variables of this page, all of which a child should lose if it is not followed.
  static constexpr const char* names[] = {
      "WHENCE_OUT",   "WHENCE_AT_EXIT", "WHENCE_SIGNAL", "WHENCE_EVERY",    "WHENCE_KEEP",
      "WHENCE_HTTP",  "WHENCE_TOKEN",   "WHENCE_ONLY",   "WHENCE_CHILDREN", "WHENCE_CPU_HZ",
      "WHENCE_LOCKS", "WHENCE_SYMBOLS", "WHENCE_VERBOSE"};

  explicit settings_reader(const char* program) { it_.program = program; }

  settings read() {
    it_.verbose = number("WHENCE_VERBOSE", 0, 1, 0) == 1;
    read_children();
    if (const char* const glob = value("WHENCE_ONLY")) {
      it_.is_other_program = ::fnmatch(glob, it_.program.c_str(), 0) != 0;
      if (it_.is_other_program) return std::move(it_);
    }
    read_outputs();
    read_signals();
    it_.every_s = number("WHENCE_EVERY", 1, 1'000'000'000, 0);
    it_.keep = static_cast<std::size_t>(number("WHENCE_KEEP", 1, 1'000'000, 10));
    it_.cpu_hz = static_cast<int>(number("WHENCE_CPU_HZ", 1, 10'000, 100));
    it_.symbols = number("WHENCE_SYMBOLS", 0, 1, 1) == 1;
    read_http();
    const bool is_named = value("WHENCE_OUT") != nullptr;
    if (it_.outputs == 0 && value("WHENCE_AT_EXIT") == nullptr &&
        (is_named || it_.every_s != 0 || !it_.signals.empty())) {
      it_.outputs = bit(output::heap);
    }
    read_pattern();
    if (value("WHENCE_LOCKS") != nullptr) {
      refuse("WHENCE_LOCKS", "is reserved: the locks of an unmodified program are not seen yet");
    }
    return std::move(it_);
  }

  // One line for each refusal, with its end.
  const std::vector<std::string>& refusals() const noexcept { return refusals_; }

 private:
  static constexpr std::uint32_t bit(output what) noexcept {
    return 1U << static_cast<unsigned>(what);
  }

  // nullptr if it is unset or empty.
  static const char* value(const char* name) noexcept {
    const char* const text = ::secure_getenv(name);
    return text == nullptr || *text == '\0' ? nullptr : text;
  }

  // A refused variable leaves the environment, so that no child refuses it again.
  void refuse(const char* name, const std::string& why) {
    const char* const text = value(name);
    refusals_.push_back(std::string("whence: ") + name + '=' + (text == nullptr ? "" : text) + ' ' +
                        why + '\n');
    ::unsetenv(name);
  }

  std::int64_t number(const char* name, std::int64_t least, std::int64_t most,
                      std::int64_t otherwise) {
    const char* const text = value(name);
    if (text == nullptr) return otherwise;
    std::int64_t result = 0;
    const char* const end = text + std::strlen(text);
    const auto [at, error] = std::from_chars(text, end, result);
    if (error == std::errc{} && at == end && result >= least && result <= most) return result;
    refuse(name, "is not a number from " + std::to_string(least) + " to " + std::to_string(most));
    return otherwise;
  }

  // Calls visit(word) for each word between commas; false if visit refused one, which is `word`.
  template <class Visit>
  static bool each_word(std::string_view list, std::string_view& word, Visit visit) {
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      word = list.substr(0, comma);
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
      if (!visit(word)) return false;
    }
    return true;
  }

  void read_children() {
    const char* const text = value("WHENCE_CHILDREN");
    if (text == nullptr) return;
    bool forks = false, execs = false, none = false;
    std::string_view word;
    const bool known = each_word(text, word, [&](std::string_view w) {
      bool& named = w == "fork" ? forks : w == "exec" ? execs : none;
      named = true;
      return w == "fork" || w == "exec" || w == "none";
    });
    if (!known || (none && (forks || execs))) {
      return refuse("WHENCE_CHILDREN", "is not fork, exec, fork,exec or none");
    }
    it_.follows_forks = forks;
    it_.follows_execs = execs;
  }

  void read_outputs() {
    const char* const text = value("WHENCE_AT_EXIT");
    if (text == nullptr) return;
    std::uint32_t outputs = 0;
    std::string_view word;
    const bool known = each_word(text, word, [&](std::string_view w) {
      if (w == "goroutine") w = "thread";
      for (unsigned i = 0; i < output_count; ++i) {
        if (w != output_names[i]) continue;
        outputs |= 1U << i;
        return true;
      }
      return false;
    });
    if (known) {
      it_.outputs = outputs;
      return;
    }
    std::string list;
    for (const char* const name : output_names)
      list += std::string(list.empty() ? "" : ", ") + name;
    refuse("WHENCE_AT_EXIT", "names \"" + std::string(word) + "\", not one of " + list);
  }

  static int signal_number(std::string_view name) noexcept {
    if (name.starts_with("SIG")) name.remove_prefix(3);
    static constexpr std::pair<std::string_view, int> known[] = {
        {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"HUP", SIGHUP},     {"QUIT", SIGQUIT},
        {"TERM", SIGTERM}, {"INT", SIGINT},   {"WINCH", SIGWINCH}, {"URG", SIGURG}};
    for (const auto& [text, number] : known) {
      if (name == text) return number;
    }
    const bool is_relative = name.starts_with("RTMIN+");
    if (is_relative) name.remove_prefix(6);
    int number = 0;
    const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || at != name.data() + name.size() || number < 0) return 0;
    if (is_relative) number += SIGRTMIN;
    const bool may_be = (number > 0 && number <= SIGRTMAX) && number != SIGKILL &&
                        number != SIGSTOP && number != SIGSEGV && number != SIGBUS &&
                        number != SIGILL && number != SIGFPE && number != SIGABRT &&
                        number != SIGPROF && number != SIGCHLD &&
                        (number < 32 || number >= SIGRTMIN);
    return may_be ? number : 0;
  }

  void read_signals() {
    const char* const text = value("WHENCE_SIGNAL");
    if (text == nullptr) return;
    std::vector<int> numbers;
    std::string_view word;
    const bool known = each_word(text, word, [&](std::string_view w) {
      numbers.push_back(signal_number(w));
      return numbers.back() != 0;
    });
    if (!known) {
      return refuse("WHENCE_SIGNAL", "names \"" + std::string(word) +
                                         "\", no signal that can ask for files: write "
                                         "USR1, USR2, HUP, QUIT, TERM, INT, RTMIN+N or a number");
    }
    it_.signals = std::move(numbers);
  }

  void read_http() {
    if (const char* const token = value("WHENCE_TOKEN")) it_.token = token;
    const char* const text = value("WHENCE_HTTP");
    if (text == nullptr) return;
    const std::string_view where(text);
    if (where.starts_with("unix:")) return read_unix(where.substr(5));
    const std::size_t colon = where.rfind(':');
    std::string_view host = colon == std::string_view::npos ? "127.0.0.1" : where.substr(0, colon);
    const std::string_view port = where.substr(colon + 1);  // npos + 1 is 0
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    }
    const auto [at, error] = std::from_chars(port.data(), port.data() + port.size(), it_.http_port);
    if (error != std::errc{} || at != port.data() + port.size() || it_.http_port < 0 ||
        it_.http_port > 65535 || host.empty()) {
      return refuse("WHENCE_HTTP",
                    "is not PORT, HOST:PORT or unix:PATH (a port is from 0 to 65535)");
    }
    if (host != "localhost" && !http::is_loopback(host) && it_.token.empty()) {
      return refuse(
          "WHENCE_HTTP",
          "is open to other machines, and profiles tell names and paths: set WHENCE_TOKEN");
    }
    it_.http_host = host;
    it_.serves = true;
  }

  void read_unix(std::string_view path) {
    if (path.empty() || find_wrong_part(path, "pnt") != std::string_view::npos) {
      return refuse("WHENCE_HTTP", "is no path of a socket, in which %p, %n, %t and %% may stand");
    }
    it_.http_host = "unix:" + absolute(path);
    it_.serves = true;
  }

  static std::string absolute(std::string_view path) {
    if (path.front() == '/') return std::string(path);
    char* const folder = ::getcwd(nullptr, 0);
    if (folder == nullptr) return std::string(path);
    std::string result;
    for (const char* c = folder; *c != '\0'; ++c) result += *c == '%' ? "%%" : std::string(1, *c);
    std::free(folder);
    return (result == "/" ? result : result + '/') + std::string(path);
  }

  void read_pattern() {
    constexpr std::string_view otherwise = "whence.%n.%p.%k%s.pb.gz";
    it_.pattern = absolute(otherwise);
    const char* const text = value("WHENCE_OUT");
    if (text == nullptr) return;
    const std::string_view pattern(text);
    const std::string why = wrong_with(pattern);
    if (why.empty()) {
      it_.pattern = absolute(pattern);
      return;
    }
    refuse("WHENCE_OUT", why + ": no files are written");
    it_.outputs = 0;
  }

  std::string wrong_with(std::string_view pattern) const {
    const std::size_t wrong = find_wrong_part(pattern, "pntks");
    if (wrong != std::string_view::npos) {
      return "has \"" + std::string(pattern.substr(wrong, 2)) + "\", not one of %p %n %t %k %s %%";
    }
    if (pattern.back() == '/') return "ends with a slash";
    if (!has_part(pattern, 'p') && (it_.follows_forks || it_.follows_execs)) {
      return "lacks %p, so that processes would overwrite each other's files: add it, or set "
             "WHENCE_CHILDREN=none";
    }
    if (!has_part(pattern, 'k') && (it_.outputs & (it_.outputs - 1)) != 0) {
      return "lacks %k, and WHENCE_AT_EXIT names more than one kind of file";
    }
    const std::string folder = folder_of(pattern);
    struct stat there {};
    if (!folder.empty() && folder.find('%') == std::string::npos &&
        (::stat(folder.c_str(), &there) != 0 || !S_ISDIR(there.st_mode))) {
      return "names the folder " + folder + ", which is not there";
    }
    return {};
  }

  settings it_;
  std::vector<std::string> refusals_;
};

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_VARIABLES_HPP
