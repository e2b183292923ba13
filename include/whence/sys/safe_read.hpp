// SPDX-License-Identifier: Apache-2.0
//
// Looks at memory that may not be there, through system calls that return EFAULT when a load would
// kill the program. Signal-safe. Keeps errno.
#ifndef WHENCE_SYS_SAFE_READ_HPP
#define WHENCE_SYS_SAFE_READ_HPP

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/sys/errno_guard.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/syscall_filter.hpp>

namespace whence::inline v1::sys {

// The smallest page size: if the kernel's pages are larger, one is asked about several times.
inline constexpr std::uintptr_t page_bytes = 4096;

// valgrind answers in the kernel's place, and reports questions about memory it considers
// unreadable. Under valgrind the question is asked by process_vm_readv, which it lets pass.
[[gnu::visibility("hidden")]] inline constinit std::atomic<bool> watched{false};

// Looks once for what valgrind preloads. Not for signal handlers.
inline void look_for_valgrind() noexcept {
  static constinit std::atomic<bool> looked{false};
  if (looked.exchange(true, std::memory_order_relaxed)) return;
  for_each_module([](const dl_phdr_info& module) {
    const bool found = std::strstr(module.dlpi_name, "/vgpreload_") != nullptr;
    if (found) watched.store(true, std::memory_order_relaxed);
    return found;
  });
}

// Reads the file that shows this process's memory. ENOSYS if it cannot be opened. Bare system
// calls are used, because open and pread are cancellation points.
inline ssize_t copy_by_file(void* to, std::uintptr_t from, std::size_t bytes) noexcept {
  const long memory =
      ::syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/mem", O_RDONLY | O_CLOEXEC);
  if (memory < 0) {
    errno = ENOSYS;
    return -1;
  }
  const long copied = ::syscall(SYS_pread64, memory, to, bytes, from);
  const int error = errno;
  ::syscall(SYS_close, memory);
  errno = error;
  return copied;
}

// The calling thread's id is used: the first thread may have ended, and then has no memory.
inline ssize_t copy_by_kernel(void* to, std::uintptr_t from, std::size_t bytes) noexcept {
  if (is_filtered.load(std::memory_order_relaxed)) return copy_by_file(to, from, bytes);
  iovec local{to, bytes};
  iovec remote{reinterpret_cast<void*>(from), bytes};
  return ::process_vm_readv(::gettid(), &local, 1, &remote, 1, 0);
}

// True if the 8 bytes at `address` can be read: then all of their page can. rt_sigprocmask copies
// the set in before it checks `how`, which is invalid: nothing is changed. Some 0.1 us.
inline bool is_readable(std::uintptr_t address) noexcept {
  if (address < page_bytes) return false;  // the kernel takes a null address for no set
  const errno_guard keep;
  if (watched.load(std::memory_order_relaxed)) [[unlikely]] {
    std::uint64_t word = 0;
    return copy_by_kernel(&word, address, sizeof word) == sizeof word;
  }
  constexpr int no_such_how = -1;
  constexpr std::size_t kernel_set_bytes = 8;
  return ::syscall(SYS_rt_sigprocmask, no_such_how, address, nullptr, kernel_set_bytes) == 0 ||
         errno != EFAULT;
}

// Copies bytes of this process; false unless all of them could be read. Some 1 us.
//
// If the system call is missing (emulators, sandboxes), each page is asked about before it is read:
// a page that is unmapped in between still faults.
inline bool copy_memory(void* to, std::uintptr_t from, std::size_t bytes) noexcept {
  const errno_guard keep;
  const ssize_t copied = copy_by_kernel(to, from, bytes);
  if (copied >= 0 || (errno != ENOSYS && errno != EPERM)) {
    return copied == static_cast<ssize_t>(bytes);
  }
  if (from + bytes < from) return false;
  for (std::uintptr_t page = from & ~(page_bytes - 1); page < from + bytes; page += page_bytes) {
    if (!is_readable(page)) return false;
  }
  for (std::size_t i = 0; i < bytes; ++i) {
    static_cast<unsigned char*>(to)[i] = reinterpret_cast<const volatile unsigned char*>(from)[i];
  }
  return true;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SAFE_READ_HPP
