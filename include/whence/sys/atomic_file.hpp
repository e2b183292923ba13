// SPDX-License-Identifier: Apache-2.0
//
// A file that appears whole or not at all:
//
//   dir/.whence-PID-N.tmp   is written, then renamed to   dir/name
//
// Until then a file already there is untouched; processes that have it open keep it. Permission
// bits of an existing file are kept, a new one gets 0666 & ~umask. A symbolic link is followed.
// What is not a regular file (a terminal, a pipe, /dev/null) is written to as it is: renaming would
// replace the device. Nothing is synced to the disk: the promise is about programs, not about
// power.
#ifndef WHENCE_SYS_ATOMIC_FILE_HPP
#define WHENCE_SYS_ATOMIC_FILE_HPP

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include <whence/sys/above_standard.hpp>
#include <whence/sys/cancel_guard.hpp>

namespace whence::inline v1::sys {

// Returns 0, or the errno of the write that failed. It is a cancellation point, hence not noexcept.
inline int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (n == 0) {
      return EIO;
    } else if (errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

inline std::atomic<unsigned> temporary_number{0};

class atomic_file {
 public:
  // A relative path means the folder the process is in now.
  explicit atomic_file(std::string path) : path_(std::move(path)) {
    if (path_.empty() || path_.front() == '/') return;
    // If there is no current folder the path stays as it is, and opening it reports the error.
    char* const folder = ::getcwd(nullptr, 0);
    if (folder == nullptr) return;
    path_.insert(0, std::string(folder) + '/');
    std::free(folder);
  }
  ~atomic_file() { abandon(); }
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  // Returns 0 or an errno; after a failure, call abandon.
  int write(std::span<const std::byte> bytes) {
    if (fd_ < 0) {
      if (const int error = open()) return error;
    }
    return write_all(fd_, bytes);
  }

  // Puts the file in its place, even if it is empty. Returns 0, or an errno with nothing left
  // behind.
  int finish() {
    int error = fd_ < 0 ? open() : 0;
    // Linux closes the descriptor even if close is interrupted.
    if (error == 0 && ::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) error = errno;
    if (error == 0 && !temporary_.empty()) {
      if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
        error = errno;
      } else {
        temporary_.clear();
      }
    }
    abandon();
    return error;
  }

  void abandon() noexcept {
    const cancel_guard uncancelled;
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
  }

 private:
  int open() {
    struct stat there {};
    const bool exists = ::stat(path_.c_str(), &there) == 0;
    if (!exists && errno != ENOENT) return errno;
    if (exists && S_ISDIR(there.st_mode)) return EISDIR;
    if (exists && !S_ISREG(there.st_mode)) {
      do {
        fd_ = above_standard(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
      } while (fd_ < 0 && errno == EINTR);
      return fd_ < 0 ? errno : 0;
    }
    if (path_.empty() || path_.back() == '/') return path_.empty() ? ENOENT : EISDIR;
    if (exists) follow_links();
    // A file that will be private must be private while it is written, too.
    if (const int error = open_temporary(exists ? 0600 : 0666)) return error;
    return exists && ::fchmod(fd_, there.st_mode & 07777) != 0 ? errno : 0;
  }

  void follow_links() {
    char* const real = ::realpath(path_.c_str(), nullptr);
    if (real == nullptr) return;
    path_ = real;
    std::free(real);
  }

  int open_temporary(mode_t mode) {
    const std::size_t name = path_.rfind('/') + 1;  // npos + 1 is 0
    for (int attempt = 0; attempt < 100; ++attempt) {
      // The length is fixed, so that the longest permitted name has a temporary, too.
      std::string candidate = path_.substr(0, name) + ".whence-" + std::to_string(::getpid()) +
                              '-' + std::to_string(temporary_number.fetch_add(1)) + ".tmp";
      do {
        fd_ = above_standard(
            ::open(candidate.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
      } while (fd_ < 0 && errno == EINTR);
      if (fd_ >= 0) {
        temporary_ = std::move(candidate);
        return 0;
      }
      if (errno != EEXIST) return errno;
    }
    return EEXIST;
  }

  std::string path_;
  std::string temporary_;
  int fd_ = -1;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ATOMIC_FILE_HPP
