// SPDX-License-Identifier: Apache-2.0
//
// Runs a function in a child of fork, for what must not happen to the process of all tests.
#ifndef WHENCE_TESTS_CHILD_HPP
#define WHENCE_TESTS_CHILD_HPP

#include <sys/wait.h>
#include <unistd.h>

namespace whence_tests {

// What the function returned, from 0 to 255, or the negative number of the signal that ended the
// child. A child that hangs is ended after five minutes, by SIGALRM: under a sanitizer, on a busy
// machine, reading names alone takes one.
template <class Body>
int in_child(Body body) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::alarm(300);
    ::_exit(body());
  }
  int status = -1;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return 255;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_CHILD_HPP
