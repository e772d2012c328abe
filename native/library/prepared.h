// A file of `usercopy prepare`, read and checked once: whatever is in a `Prepared` can be relied on.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

// What the check is asked about at one address.
struct PreparedEntry {
  std::string symbol;
  uint64_t address = 0;
  // The kernel's own check is called there.
  bool is_judge = false;
  // A `DirectionKind` of the check.
  uint8_t direction_kind = 0;
  uint8_t size_bits = 64;
  // The function's code.
  uint64_t body_start = 0, body_end = 0;
  // What stands at the address; empty: not known.
  std::vector<uint8_t> code;
  // Registers of the request's fields, in their order; empty: none.
  std::array<std::string, 8> registers;
};

// A function that copies, where a copy can be made to fail.
struct PreparedCopying {
  uint64_t address = 0;
  std::string kernel_pointer;
  // Empty: none.
  std::string user_pointer;
  std::string size;
  uint8_t size_bits = 64;
};

// How frames are linked: `FrameLayout` of arch/driver.ts.
struct PreparedFrames {
  enum class Kind { kFramePointers, kBackChain, kRegisterWindows };
  Kind kind = Kind::kFramePointers;
  bool record_at_top = false;
  int64_t saved_frame = 0;
  int64_t return_address = 0;
  int64_t bias = 0;
  int64_t header = 0;
  std::string return_register;
};

// A verdict's wording. Lines are of both directions (from_user, to_user) with {cache}, {offset}, {size}, {bytes} and
// {pointer} left open; empty where the kernel prints none.
struct PreparedVerdict {
  std::string by;
  std::array<std::string, 2> lines;
};

// Functions in address order.
struct PreparedSymbols {
  std::vector<uint64_t> addresses;
  // Bytes; 0: not known.
  std::vector<uint32_t> sizes;
  // Names, each ended by a NUL, and where they begin.
  std::string names;
  std::vector<uint32_t> starts;
};

// Looks beyond the check.
struct PreparedSanitizers {
  // A Look in the memory.
  uint32_t look = 0;
  // Why an object's state is not known, by the number in the Look.
  std::unordered_map<uint32_t, std::string> unknown;
  std::vector<std::string> notes;
};

struct Prepared {
  // Of Unicorn: UC_ARCH_* and UC_MODE_*.
  int arch = 0;
  int mode = 0;
  std::string variant;
  bool judges_all = false;
  bool big_endian = false;
  unsigned bits = 64;
  // The control area of check.wasm's memory, and where its context is.
  std::vector<uint8_t> memory;
  uint32_t context = 0;
  std::string pc, sp, fp, return_value;
  // What is compared to tell one arrival from another.
  std::vector<std::string> compared;
  // Empty: the return address is on the stack.
  std::string link;
  int64_t stack_bias = 0;
  int64_t return_offset = 0;
  // THREAD_SIZE, a power of two.
  uint64_t thread_size = 0;
  bool pushes_return_address = false;
  std::vector<PreparedEntry> entries;
  std::vector<PreparedCopying> copying;
  std::unordered_map<uint32_t, PreparedVerdict> verdicts;
  std::unordered_map<uint64_t, std::string> declared_caches;
  // Nothing: the kernel has no types.
  std::optional<PreparedSanitizers> sanitizers;
  // The pointer in a kmem_cache that leads to its name; no bytes: none.
  uint32_t cache_name_offset = 0, cache_name_bytes = 0;
  std::optional<PreparedFrames> frames;
  // [start, end) of the kernel's text; both 0: not known.
  uint64_t text_start = 0, text_end = 0;
  PreparedSymbols symbols;
  // That hardly anything is judged; and what else a person should know.
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

// Throws a Failure, whose sentence names the place in the file and repeats nothing of it.
Prepared ReadPrepared(const char* text);
