// SPDX-License-Identifier: Apache-2.0
//
// The only way to open the file of a module. The file at a module's path need not be the module: a
// package was upgraded, a plugin rebuilt, the folder changed, the program started as `ld.so
// program`. So a file is accepted for the module only if
//
//   it has the module's build-id, read through the descriptor that all readers then use; or
// neither has one, and device and inode are those of the mapping. (On overlayfs and btrfs stat's
// numbers differ from those of /proc/self/maps, so the file's are read there.)
//
// Everything that reads names or lines goes through open_module(). Not for signal handlers.
#ifndef WHENCE_SYMBOLS_MODULE_FILE_HPP
#define WHENCE_SYMBOLS_MODULE_FILE_HPP

#include <sys/auxv.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/sys/digits.hpp>
#include <whence/sys/out_of_memory.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

struct module_file {
  sys::owner<file_source> file;  // nullptr if no file is the module
  std::string path;              // the path it was opened by
  int error = 0;                 // errno of a candidate that could not be read
  bool refused = false;          // the file found is another build's
};

// The numbers in /proc/self/maps: a page of the file is mapped for a moment, and never touched.
// `error` is set if the system refuses.
template <class = void>
inline file_identity mapped_identity(const file_source& file, int& error) {
  constexpr std::size_t bytes = sys::page_bytes;
  void* const page = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (page == MAP_FAILED) {
    error = errno;
    return {};
  }
  const file_identity identity = sys::or_if_out_of_memory(
      [&] {
        const sys::vector<mapping> all = mapped_code(true, error);
        const mapping* const here = find_mapping(all, reinterpret_cast<std::uintptr_t>(page));
        return here != nullptr ? here->file : file_identity{};
      },
      [&error] {
        error = ENOMEM;
        return file_identity{};
      });
  ::munmap(page, bytes);
  return identity;
}

// `error` is set if the system does not tell.
template <class = void>
inline bool is_module(const file_source& file, const elf& header, const loaded_module& m,
                      int& error) {
  if (!header.is_elf() || header.build_id() != m.build_id) return false;
  if (!m.build_id.empty()) return true;
  if (!m.file.known()) return false;
  return m.file == file_identity{file.status().st_dev, file.status().st_ino} ||
         m.file == mapped_identity(file, error);
}

// The possible paths of the module's file. `mapped`: its code, if it is loaded and that is known.
template <class = void>
inline std::vector<std::string> module_paths(const loaded_module& m, const mapping* mapped) {
  std::vector<std::string> paths;
  const auto add = [&paths](std::string path) {
    for (const std::string& p : paths) {
      if (p == path) return;
    }
    if (!path.empty()) paths.push_back(std::move(path));
  };
  if (mapped != nullptr) add(mapped->filename);
  add(m.path);
  add(m.loader_name);
  if (m.is_program) {
    add("/proc/thread-self/exe");
    if (const auto* const given = reinterpret_cast<const char*>(::getauxval(AT_EXECFN))) add(given);
  }
  // Works under any name of the file; only for processes that may ptrace.
  if (mapped != nullptr) {
    add("/proc/self/map_files/" + sys::to_hex(mapped->start) + "-" + sys::to_hex(mapped->limit));
  }
  return paths;
}

template <class = void>
inline module_file open_module(const loaded_module& m, const mapping* mapped) {
  module_file result;
  for (const std::string& path : module_paths(m, mapped)) {
    auto file = sys::make_owned<file_source>(path.c_str());
    const elf header(*file);
    int untold = 0;
    if (is_module(*file, header, m, untold)) {
      result.file = std::move(file);
      result.path = path.starts_with("/proc/") ? m.path : path;
      result.error = 0;
      return result;
    }
    result.refused = result.refused || file->size() != 0;
    // The kernel refuses this folder to most processes, which says nothing about the file.
    const int error = file->error();
    const bool is_gone = error == ENOENT || error == ENOTDIR || error == EPERM;
    if (error != 0 && !is_gone) result.error = error;
    if (untold != 0) result.error = untold;
  }
  return result;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MODULE_FILE_HPP
