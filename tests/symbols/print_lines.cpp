// SPDX-License-Identifier: Apache-2.0
//
// Prints what debug_lines finds for addresses of a file, for line_variants.py: print_lines FILE
// [DEBUG_FILE] reads addresses in hex, one a line, and prints
//
//   0xADDRESS
//   function <tab> 1 if it is the linker's name <tab> file <tab> line <tab> column <tab> start line
//   ...                                             a line for each frame, innermost inlined first
//   missing <tab> what debug_lines could not read   at the end
#include <whence/config.hpp>

#include <fcntl.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include <whence/symbols/lines.hpp>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int file = ::open(argv[1], O_RDONLY | O_CLOEXEC);
  const int debug = argc > 2 ? ::open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0 || (argc > 2 && debug < 0)) {
    std::perror("print_lines");
    return 1;
  }
  whence::symbols::debug_lines lines(file, debug, argv[1]);
  std::string text;
  while (std::cin >> text) {
    const std::uint64_t address = std::stoull(text, nullptr, 16);
    std::printf("0x%jx\n", static_cast<std::uintmax_t>(address));
    for (const whence::symbols::source_line& l : lines.find(address)) {
      std::printf("%s\t%d\t%s\t%u\t%u\t%u\n", l.function.c_str(), l.linker_name ? 1 : 0,
                  l.file.c_str(), l.line, l.column, l.start_line);
    }
  }
  std::printf("missing\t%s\n", std::string(lines.missing()).c_str());
  return 0;
}
