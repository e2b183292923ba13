// SPDX-License-Identifier: Apache-2.0
//
// What a CPU profile says of the conditions under which it was sampled, for people.
#ifndef WHENCE_SAMPLERS_CPU_COMMENTS_HPP
#define WHENCE_SAMPLERS_CPU_COMMENTS_HPP

#include <cstdint>
#include <string>
#include <vector>

#include <whence/samplers/cpu_thread.hpp>

namespace whence::inline v1::samplers {

struct cpu_conditions {
  int asked_hz = 0;
  int threads = 0, counted = 0, without_timer = 0;  // threads that are sampled now
  int blocking = 0;                                 // threads that may block SIGPROF
  int without_entry = 0;                            // threads that memory had no room for
  cpu_rate rate;                                    // by which threads are sampled
  std::int64_t blocked_ns = 0;                      // CPU time while SIGPROF was blocked
  std::int64_t without_room = 0;                    // samples that a small stack had no room for
  bool listed = true;                               // /proc/self/task could be read
  bool filtered = false;                            // sys::is_filtered
  bool by_interval = false;                         // ITIMER_PROF is in use
  bool handler_replaced = false;                    // the program took SIGPROF
};

// Throws: std::bad_alloc.
inline std::string not_listed_comment() {
  return "threads could not be listed (/proc/self/task): the first, the one that began the session "
         "and tracked threads are sampled, others are [unsampled]";
}

// Throws: std::bad_alloc.
inline std::string no_entry_comment(int threads) {
  return std::to_string(threads) + " threads are not sampled: there was no room for them";
}

// Throws: std::bad_alloc.
inline std::string no_room_comment(std::int64_t samples) {
  return std::to_string(samples) +
         " samples, in all sessions, were lost because a thread's stack had no room to take them "
         "(sigaltstack): [unsampled]";
}

// Throws: std::bad_alloc.
inline void add_comments(std::vector<std::string>& lines, const cpu_conditions& now) {
  if (!now.listed) lines.push_back(not_listed_comment());
  lines.push_back("asked for " + std::to_string(now.asked_hz) + " samples a second of CPU time");
  if (now.filtered) {
    lines.push_back(
        "a filter of system calls (seccomp) is set: perf_event_open and process_vm_readv are not "
        "called, because it might end the program; if it allows them, set WHENCE_SECCOMP=ignore");
  }
  if (now.rate.above_tick() && now.counted < now.threads) {
    lines.push_back(std::to_string(now.threads - now.counted) +
                    " threads have no perf_event counter: they are sampled at the kernel's " +
                    std::to_string(1'000'000'000 / now.rate.tick_ns) +
                    " Hz, each sample with the time it stands for");
  }
  if (now.without_timer > 0) {
    lines.push_back(
        std::to_string(now.without_timer) + " threads could have no timer" +
        (now.by_interval
             ? ": they are sampled by ITIMER_PROF, which may end sleeps and outlives exec"
             : ""));
  }
  if (now.without_entry > 0) lines.push_back(no_entry_comment(now.without_entry));
  if (now.blocking > 0) {
    lines.push_back(std::to_string(now.blocking) +
                    " threads block SIGPROF, or wait for signals: they are sent none, and their "
                    "CPU time is [unsampled]");
  }
  if (now.blocked_ns > 0) {
    lines.push_back(std::to_string(now.blocked_ns / 1'000'000) +
                    " ms of CPU time, in all sessions, passed while threads could take no signal "
                    "(SIGPROF blocked): [unsampled]");
  }
  if (now.without_room > 0) lines.push_back(no_room_comment(now.without_room));
  if (now.handler_replaced) lines.push_back("the program has replaced the handler of SIGPROF");
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_CPU_COMMENTS_HPP
