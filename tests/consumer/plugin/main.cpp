// SPDX-License-Identifier: Apache-2.0
//
// A program and two plugins, opened with RTLD_LOCAL and each with its own copy of the library's
// code, see the same profiles. Once closed, a plugin's allocations keep their place in the profile,
// and the profiles that its code names are still listed.
#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "plugin.hpp"
#include <whence/whence.hpp>

static int failures = 0;

static void expect(bool truth, const char* plugin, const char* what) {
  if (!truth) {
    std::fprintf(stderr, "%s: %s\n", plugin, what);
    ++failures;
  }
}

int main(int argc, char** argv) {
  whence::set_heap_profile_rate(1);
  whence::tracked<whence::custom_profile<"app.sessions">> own;
  whence::profile* heap = whence::lookup("heap");
  { const whence::cpu_session first; }  // the handler of SIGPROF is the program's own
  whence::profile* sessions = whence::lookup("app.sessions");
  expect(sessions != nullptr && sessions->count() == 1, "program", "its own entry is not there");

  const char* const unused = "plugin.connections";
  expect(whence::lookup(unused) == nullptr, "program", "the plugin's profile is there already");
  for (int i = 1; i < argc; ++i) {
    void* library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 2;
    }
    const whence::profile* const listed = whence::lookup(unused);
    expect(listed != nullptr && listed->count() == 0, argv[i], "its unused profile is not listed");
    auto open = reinterpret_cast<plugin_function>(dlsym(library, "plugin_open"));
    auto close = reinterpret_cast<plugin_function>(dlsym(library, "plugin_close"));
    auto sample = reinterpret_cast<void (*)()>(dlsym(library, "plugin_sample"));
    if (open == nullptr || close == nullptr || sample == nullptr) {
      std::fprintf(stderr, "%s: no entry points\n", argv[i]);
      return 2;
    }

    plugin_report report{};
    open(&report);
    expect(report.heap == heap, argv[i], "lookup(\"heap\") is another profile");
    expect(report.sessions == sessions, argv[i], "lookup(\"app.sessions\") is another profile");
    expect(report.entries == 2, argv[i], "the plugin does not count the program's entry");
    expect(sessions->count() == 2, argv[i], "the program does not count the plugin's entry");
    sample();
    close(&report);
    expect(report.entries == 1 && sessions->count() == 1, argv[i], "the entry is still there");

    // A found name stays known, even if the plugin is really unloaded.
    for (const char* when : {"allocs does not name the plugin's function",
                             "allocs does not name the closed plugin's function"}) {
      std::string text;
      expect(!whence::lookup("allocs")->write_to(text, 1), argv[i], "allocs could not be written");
      expect(text.find("plugin_open") != std::string::npos, argv[i], when);
      if (library != nullptr) dlclose(library);
      library = nullptr;
    }
    expect(whence::lookup(unused) == listed, argv[i], "its unused profile is not listed any more");
    // Forks and signals call code of the plugin only if it is still loaded.
    const pid_t child = fork();
    if (child == 0) _exit(0);
    int status = 1;
    expect(waitpid(child, &status, 0) == child && status == 0, argv[i], "fork after it was closed");
    raise(SIGPROF);
    const whence::cpu_session session;
  }
  return failures == 0 ? 0 : 1;
}
