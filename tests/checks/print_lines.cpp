// SPDX-License-Identifier: Apache-2.0
//
// Prints what a profile would say about addresses of a program's file, for line_variants.py: the
// file passes the gate, and its debug file is looked for. `print_lines FILE` reads addresses in
// hex, one a line, and prints
//
//   0xADDRESS <tab> the symbol there, as the linker names it
//   function <tab> 1 if it is the linker's name <tab> file <tab> line <tab> column <tab> start line
//   ...                                             a line for each frame, innermost inlined first
//   module <tab> 1 if only exported functions have names <tab> why something is missing
#include <whence/config.hpp>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/module_reader.hpp>
#include <whence/symbols/modules.hpp>

namespace symbols = whence::symbols;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  symbols::loaded_module module;
  module.path = argv[1];
  {
    const symbols::file_source file(argv[1]);
    if (file.error() != 0) {
      std::fprintf(stderr, "print_lines: %s cannot be read\n", argv[1]);
      return 1;
    }
    module.build_id = symbols::elf(file).build_id();
    module.file = {file.status().st_dev, file.status().st_ino};
  }
  symbols::module_reader reader(module, nullptr, nullptr);
  std::string text;
  while (std::cin >> text) {
    const std::uint64_t address = std::stoull(text, nullptr, 16);
    std::printf("0x%jx\t%s\n", static_cast<std::uintmax_t>(address),
                reader.find(address).name.c_str());
    for (const symbols::source_line& l : reader.lines(address)) {
      std::printf("%s\t%d\t%s\t%u\t%u\t%u\n", l.function.c_str(), l.linker_name ? 1 : 0,
                  l.file.c_str(), l.line, l.column, l.start_line);
    }
  }
  const symbols::module_facts& facts = reader.facts();
  std::printf("module\t%d\t%s\n", facts.exported_only ? 1 : 0, facts.reason.c_str());
  return 0;
}
