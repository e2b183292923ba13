// SPDX-License-Identifier: Apache-2.0
//
// A file that no other user may read, that appears whole or not at all, and that follows no
// symbolic link:
//
//   dir/.whence-PID-N.tmp   is written (0600, O_EXCL, O_NOFOLLOW), then renamed to   dir/name
//
// Unlike atomic_file, its name is known only at the end, so that a name that is taken by then can
// be given up for another.
#ifndef WHENCE_SYS_NEW_FILE_HPP
#define WHENCE_SYS_NEW_FILE_HPP

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <utility>

#include <whence/sys/above_standard.hpp>
#include <whence/sys/atomic_file.hpp>

namespace whence::inline v1::sys {

class new_file {
 public:
  // `folder` ends with a slash, or is empty for the folder the process is in.
  explicit new_file(std::string folder) : folder_(std::move(folder)) {}
  ~new_file() {
    close();
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }
  new_file(const new_file&) = delete;
  new_file& operator=(const new_file&) = delete;

  // Returns 0 or an errno.
  int write(std::span<const std::byte> bytes) {
    if (fd_ < 0) {
      if (const int error = open()) return error;
    }
    return write_all(fd_, bytes);
  }

  // Gives the file its name, in the same folder. Returns 0 or an errno: EEXIST if the name is
  // taken, by any file or, if the caller may replace files, by what is no file; then another name
  // can be tried.
  int publish(const std::string& path, bool may_replace) {
    if (fd_ >= 0) close();
    if (temporary_.empty()) return ENOENT;
    const int error = may_replace ? replace(path) : rename_to_new(path);
    if (error == 0) temporary_.clear();
    return error;
  }

 private:
  int open() {
    static std::atomic<unsigned> number{0};
    for (int attempt = 0; attempt < 100; ++attempt) {
      temporary_ = folder_ + ".whence-" + std::to_string(::getpid()) + "-new" +
                   std::to_string(number.fetch_add(1)) + ".tmp";
      do {
        fd_ = above_standard(::open(temporary_.c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                    S_IRUSR | S_IWUSR));
      } while (fd_ < 0 && errno == EINTR);
      if (fd_ >= 0) return 0;
      if (errno != EEXIST) break;
    }
    const int error = errno;
    temporary_.clear();
    return error;
  }

  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  // A device, a folder or a socket must not be replaced; a symbolic link is, not what it names.
  int replace(const std::string& path) const noexcept {
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode) && !S_ISLNK(there.st_mode)) {
      return EEXIST;
    }
    return std::rename(temporary_.c_str(), path.c_str()) == 0 ? 0 : errno;
  }

  int rename_to_new(const std::string& path) const noexcept {
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
      return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) return errno;
    // A file system without that call; a link does not replace either.
    if (::link(temporary_.c_str(), path.c_str()) != 0) return errno;
    ::unlink(temporary_.c_str());
    return 0;
  }

  std::string folder_;
  std::string temporary_;
  int fd_ = -1;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_NEW_FILE_HPP
