// SPDX-License-Identifier: Apache-2.0
//
// The smallest translation unit: it includes what every page includes. It defines UNIT, and uses
// OTHER so that a linker takes it out of an archive.
#include <whence/config.hpp>

int OTHER();
int UNIT() {
  return whence::config::disabled ? 1 : 0;
}
#ifdef WITH_MAIN
int main() {
  return OTHER() == UNIT() ? 0 : 1;
}
#endif
