// SPDX-License-Identifier: Apache-2.0
//
// One module reads what another records: `main MODE RECORDS READS`, each "-" for the executable's
// own part, or a plugin to load; READS may be "none". A module that is loaded later is loaded while
// work goes on, and closed before it has ended.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "records.hpp"

#if !defined(WITH_RECORDS)
extern "C" void begin_work() {
  std::abort();
}
extern "C" void end_work() {
  std::abort();
}
#endif
#if !defined(WITH_READS)
extern "C" const char* read_profile(const char*) {
  std::abort();
}
extern "C" void set_rate(long) {
  std::abort();
}
#endif

namespace {

int failures = 0;

void expect(bool truth, const char* what) {
  if (truth) return;
  std::fprintf(stderr, "recording: %s\n", what);
  ++failures;
}

void* open(const char* file) {
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  std::fprintf(stderr, "%s\n", dlerror());
  std::exit(2);
}

template <class F>
F* find(void* library, const char* name, F* own) {
  return library == nullptr ? own : reinterpret_cast<F*>(dlsym(library, name));
}

bool contains(const char* text, const char* part) {
  return std::strstr(text, part) != nullptr;
}

}  // namespace

int main(int, char** argv) {
  const char* const order = argv[1];
  const bool reads = std::strcmp(argv[3], "none") != 0;
  void* records_at = nullptr;
  void* reads_at = nullptr;
  // reader-first, records-first
  const auto open_records = [&] {
    if (*argv[2] != '-') records_at = open(argv[2]);
  };
  if (std::strcmp(order, "records-first") == 0) open_records();
  decltype(begin_work)* begin = &begin_work;
  decltype(end_work)* end = &end_work;
  if (std::strcmp(order, "records-first") == 0) {
    // The work goes on whether a reader exists or not.
    begin = find(records_at, "begin_work", begin);
    end = find(records_at, "end_work", end);
    begin();
  }
  if (reads && *argv[3] != '-') reads_at = open(argv[3]);
  decltype(read_profile)* const read = find(reads_at, "read_profile", &read_profile);
  decltype(set_rate)* const rate = find(reads_at, "set_rate", &set_rate);
  if (std::strcmp(order, "records-first") != 0) {
    open_records();
    begin = find(records_at, "begin_work", begin);
    end = find(records_at, "end_work", end);
  } else {
    end();
  }

  if (reads) rate(1);
  begin();
  if (reads) {
    const char* const heap = read("heap");
    expect(contains(heap, "begin_work"), "heap does not name the function that allocated");
    expect(contains(read("block"), "orders"), "block does not name the wait");
    expect(contains(read("mutex"), "begin_work"), "mutex does not name the function that unlocked");
    expect(contains(read("app.sessions"), "total 1\n"), "app.sessions has not one entry");
    expect(contains(read("coroutine"), "total 1\n"), "coroutine has not one entry");
  }
  const pid_t child = fork();
  if (child == 0) {
    end();
    begin();
    end();
    _exit(0);
  }
  int status = 1;
  expect(waitpid(child, &status, 0) == child && status == 0, "a child of fork did not work");

  // The reader is unloaded as far as the loader allows: recording goes on.
  if (reads_at != nullptr) dlclose(reads_at);
  end();
  begin();
  end();
  if (records_at != nullptr) dlclose(records_at);
  if (reads && reads_at == nullptr) {
    expect(contains(read("allocs"), "begin_work"), "allocs does not name the closed plugin");
    expect(contains(read("app.sessions"), "total 0\n"), "an entry is still there");
  }
  std::printf("ran to the end\n");
  return failures == 0 ? 0 : 1;
}
