// SPDX-License-Identifier: Apache-2.0
//
// The field numbers of perftools.profiles.Profile, message by message, to be read against
// github.com/google/pprof, proto/profile.proto. A `string` is an index into string_table.
#ifndef WHENCE_FORMAT_PROFILE_PROTO_HPP
#define WHENCE_FORMAT_PROFILE_PROTO_HPP

namespace whence::inline v1::format::proto {

namespace profile {
inline constexpr int sample_type = 1;           // repeated ValueType
inline constexpr int sample = 2;                // repeated Sample
inline constexpr int mapping = 3;               // repeated Mapping; the first is the main binary
inline constexpr int location = 4;              // repeated Location
inline constexpr int function = 5;              // repeated Function
inline constexpr int string_table = 6;          // repeated string; the first is ""
inline constexpr int drop_frames = 7;           // string, a regular expression
inline constexpr int time_nanos = 9;            // int64, since the Unix epoch
inline constexpr int duration_nanos = 10;       // int64
inline constexpr int period_type = 11;          // ValueType
inline constexpr int period = 12;               // int64
inline constexpr int comment = 13;              // repeated string
inline constexpr int default_sample_type = 14;  // string
// 15, doc_url, is left out: pprof's newer schema links to a page that tells how to read the
// profile, and ours has no page with a fixed address.
}  // namespace profile

namespace value_type {
inline constexpr int type = 1;  // string
inline constexpr int unit = 2;  // string
}  // namespace value_type

namespace sample {
inline constexpr int location_id = 1;  // repeated uint64; the leaf first
inline constexpr int value = 2;        // repeated int64; as many as there are sample types
inline constexpr int label = 3;        // repeated Label
}  // namespace sample

namespace label {
inline constexpr int key = 1;       // string
inline constexpr int str = 2;       // string, unless num is set
inline constexpr int num = 3;       // int64, unless str is set
inline constexpr int num_unit = 4;  // string
}  // namespace label

namespace mapping {
inline constexpr int id = 1;                  // uint64, not 0
inline constexpr int memory_start = 2;        // uint64
inline constexpr int memory_limit = 3;        // uint64
inline constexpr int file_offset = 4;         // uint64
inline constexpr int filename = 5;            // string
inline constexpr int build_id = 6;            // string, hexadecimal
inline constexpr int has_functions = 7;       // bool
inline constexpr int has_filenames = 8;       // bool
inline constexpr int has_line_numbers = 9;    // bool
inline constexpr int has_inline_frames = 10;  // bool
}  // namespace mapping

namespace location {
inline constexpr int id = 1;          // uint64, not 0
inline constexpr int mapping_id = 2;  // uint64
inline constexpr int address = 3;     // uint64
inline constexpr int line = 4;        // repeated Line; the innermost inlined function first
}  // namespace location

namespace line {
inline constexpr int function_id = 1;  // uint64
inline constexpr int line = 2;         // int64
inline constexpr int column = 3;       // int64
}  // namespace line

namespace function {
inline constexpr int id = 1;           // uint64, not 0
inline constexpr int name = 2;         // string, demangled
inline constexpr int system_name = 3;  // string, as linked
inline constexpr int filename = 4;     // string
inline constexpr int start_line = 5;   // int64
}  // namespace function

}  // namespace whence::inline v1::format::proto

#endif  // WHENCE_FORMAT_PROFILE_PROTO_HPP
