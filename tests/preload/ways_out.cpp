// SPDX-License-Identifier: Apache-2.0
//
// A program that allocates some MiB and ends in the way that its first argument names. It knows
// nothing of the library: tests/preload/environment.py asks for its profiles by environment.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace {

#ifndef ALLOCATE
#define ALLOCATE(bytes) malloc(bytes)
#endif

std::vector<void*> kept;

[[gnu::noinline]] void own_function(int mib) {
  for (int i = 0; i < mib * 16; ++i) kept.push_back(ALLOCATE(65536));
}

void busy(double seconds) {
  timespec now{};
  do {
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  } while (static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 < seconds);
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int threads() {
  int count = 0;
  FILE* const file = fopen("/proc/self/status", "re");
  char line[256];
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr) {
    sscanf(line, "Threads: %d", &count);
  }
  if (file != nullptr) fclose(file);
  return count;
}

std::atomic<bool> done{false};

}  // namespace

int main(int argc, char** argv) {
  const std::string way = argc > 1 ? argv[1] : "return";
  char* const again[] = {const_cast<char*>("true"), const_cast<char*>("return"), nullptr};
  if (way == "nothing") return 0;
  if (way == "clearenv") clearenv();
  if (way == "chdir" && chdir("/") != 0) return 9;
  if (way == "closed") {
    // The number of stderr is another file's now.
    close(2);
    if (open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600) != 2) return 9;
  }
  if (way == "title") memset(argv[0], 'X', strlen(argv[0]));
  own_function(8);
  if (way == "exit") exit(3);
  if (way == "exit_in_thread") {
    std::thread([] { exit(3); }).join();
  }
  if (way == "exit_on_small_stack") {
    pthread_attr_t smallest;
    pthread_attr_init(&smallest);
    pthread_attr_setstacksize(&smallest, PTHREAD_STACK_MIN);
    pthread_t thread{};
    pthread_create(
        &thread, &smallest, [](void*) -> void* { exit(3); }, nullptr);
    pthread_join(thread, nullptr);
  }
  if (way == "pthread_exit") pthread_exit(nullptr);
  if (way == "_exit") _exit(3);
  if (way == "_Exit") _Exit(3);
  if (way == "quick_exit") quick_exit(3);
  if (way == "execv") execv("/bin/true", again);
  if (way == "execve") execve("/bin/true", again, environ);
  if (way == "execvp") execvp("true", again);
  if (way == "execl") execl("/bin/true", "true", "a", "b", nullptr);
  if (way == "execle") execle("/bin/true", "true", "a", nullptr, environ);
  if (way == "execlp") execlp("true", "true", "a", nullptr);
  if (way == "fexecve") fexecve(open("/bin/true", O_RDONLY | O_CLOEXEC), again, environ);
  if (way == "exec_fails") {
    for (int i = 0; i < 100; ++i) execv("/does/not/exist", again);
    return 3;
  }
  if (way == "exec_itself") {
    char* const once[] = {argv[0], const_cast<char*>("exit"), nullptr};
    execv(argv[0], once);
  }
  if (way == "abort") abort();
  if (way == "segv") raise(SIGSEGV);
  if (way == "term") raise(SIGTERM);
  if (way == "fork_exit") {
    const pid_t child = fork();
    if (child == 0) {
      own_function(4);
      exit(0);
    }
    _exit(wait_for(child));
  }
  if (way == "fork_exec") {
    const pid_t child = fork();
    if (child == 0) execv("/bin/true", again);
    return wait_for(child);
  }
  if (way == "vfork_exit") {
    const pid_t child = vfork();
    if (child == 0) _exit(3);
    return wait_for(child);
  }
  if (way == "vfork_exec") {
    const pid_t child = vfork();
    if (child == 0) execl("/bin/true", "true", nullptr);
    return wait_for(child);
  }
  if (way == "spawn") {
    pid_t child = 0;
    if (posix_spawn(&child, "/bin/true", nullptr, nullptr, again, environ) != 0) return 9;
    return wait_for(child);
  }
  if (way == "handler_waits") {  // a server that ends in its handler
    signal(SIGALRM, [](int) { _exit(3); });
    alarm(1);
    pause();
  }
  if (way == "handler_on_small_stack") {  // as handlers of faults have; below it is no memory
    char* const pages = static_cast<char*>(
        mmap(nullptr, 24576, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(pages, 16384, PROT_NONE);
    stack_t small{};
    small.ss_sp = pages + 16384;
    small.ss_size = 8192;
    sigaltstack(&small, nullptr);
    struct sigaction ends {};
    ends.sa_handler = [](int) { _exit(3); };
    ends.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &ends, nullptr);
    *static_cast<volatile int*>(static_cast<void*>(pages)) = 1;
  }
  if (way == "handler_of_fault") {  // the heap is broken
    signal(SIGSEGV, [](int) { _exit(3); });
    memset(malloc(1000), 0xff, 1100);
    raise(SIGSEGV);
  }
  if (way == "handler_in_malloc") {  // must end, with or without a file
    signal(SIGALRM, [](int) { _exit(3); });
    alarm(1);
    for (std::vector<void*> blocks;;) {
      for (int i = 0; i < 1000; ++i) blocks.push_back(malloc(static_cast<size_t>(17 * i)));
      for (void* const block : blocks) free(block);
      blocks.clear();
    }
  }
  if (way == "exitrace") {
    for (int i = 0; i < 50; ++i) {
      std::thread([] {
        for (;;) free(malloc(100'000));
      }).detach();
    }
    usleep(20'000);
    exit(3);
  }
  if (way == "single") {
    if (threads() != 1) return 4;
    if (syscall(SYS_unshare, CLONE_NEWUSER) != 0) return 5;
    return 3;
  }
  if (way == "threads") {
    std::vector<std::thread> all;
    for (int i = 0; i < 3; ++i) all.emplace_back([] { busy(0.6); });
    const int count = threads();
    for (std::thread& t : all) t.join();
    return count;  // with the library's
  }
  if (way == "busy") busy(0.4);
  if (way == "storm") {
    std::vector<std::thread> all;
    for (int i = 0; i < 4; ++i) {
      all.emplace_back([] {
        while (!done) free(malloc(30'000));
      });
    }
    int failed = 0;
    for (int i = 0; i < 100; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        for (int k = 0; k < 100; ++k) free(malloc(50'000));
        if (i % 2 == 0) exit(0);
        _exit(0);
      }
      if (wait_for(child) != 0) ++failed;
    }
    done = true;
    for (std::thread& t : all) t.join();
    return failed == 0 ? 3 : 4;
  }
  if (way == "dlopen") {  // the plugin of the second argument, 400 times beside threads
    std::vector<std::thread> all;
    for (int i = 0; i < 4; ++i) {
      all.emplace_back([] {
        while (!done) {
          std::thread([] { free(malloc(70'000)); }).join();
        }
      });
    }
    int failed = 0;
    for (int i = 0; i < 400; ++i) {
      void* const plugin = dlopen(argv[2], RTLD_NOW);
      auto* const work =
          plugin == nullptr ? nullptr : reinterpret_cast<int (*)(int)>(dlsym(plugin, "work"));
      if (work == nullptr || work(i) != i) ++failed;
      if (plugin != nullptr) dlclose(plugin);
    }
    done = true;
    for (std::thread& t : all) t.join();
    return failed == 0 ? 3 : 4;
  }
  if (way == "daemon") {  // as nginx and others: the parent ends, the child works
    if (daemon(1, 0) != 0) return 9;
    for (int i = 0; i < 100; ++i) {
      busy(0.01 * i);
      own_function(1);
      usleep(20'000);
    }
    return 0;
  }
  if (way == "forks_late") {  // if there is a file named fork; the child goes on alone
    const auto work_until = [](const char* file) {
      while (access(file, F_OK) != 0) {
        free(malloc(1 << 20));
        usleep(2000);
      }
    };
    work_until("fork");
    if (fork() != 0) _exit(3);
    work_until("end");
    _exit(3);
  }
  if (way == "works") {  // for as long as its parent wishes
    for (const pid_t parent = getppid(); parent == getppid();) {
      void* const block = malloc(1 << 20);
      memset(block, 1, 1 << 20);
      free(block);
      usleep(2000);
    }
  }
  if (way == "profile_signal_at_exec") {
    busy(0.1);
    execl("/bin/sh", "sh", "-c", "exit 3", nullptr);
  }
  return 3;
}
