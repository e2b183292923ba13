// SPDX-License-Identifier: Apache-2.0
//
// Tells whether a descriptor is still the file that was opened: a program may close descriptors
// that it did not open, and the number may then belong to another file. Only for files with an
// inode of their own: regular files, sockets and pipes have one, eventfd and epoll share theirs.
#ifndef WHENCE_SYS_KNOWN_FILE_HPP
#define WHENCE_SYS_KNOWN_FILE_HPP

#include <sys/stat.h>

#include <cerrno>

namespace whence::inline v1::sys {

class known_file {
 public:
  constexpr known_file() noexcept = default;  // no file

  // No file if `number` is not open.
  explicit known_file(int number) noexcept {
    struct ::stat it {};
    if (number < 0 || ::fstat(number, &it) != 0) return;
    device_ = it.st_dev;
    inode_ = it.st_ino;
  }

  explicit operator bool() const noexcept { return inode_ != 0; }
  bool is_at(int number) const noexcept {
    const known_file other(number);
    return other && other.inode_ == inode_ && other.device_ == device_;
  }
  // The same, but true also if the system does not tell, for want of memory.
  bool may_be_at(int number) const noexcept {
    struct ::stat it {};
    if (::fstat(number, &it) != 0) return errno != EBADF;
    return it.st_ino == inode_ && it.st_dev == device_;
  }

 private:
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_KNOWN_FILE_HPP
