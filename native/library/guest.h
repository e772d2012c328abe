// The guest as an attachment sees it at a function's first instruction: words of memory, registers, who called whom.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness.h"
#include "prepared.h"
#include "unicorn.h"

class Guest {
 public:
  Guest(const Unicorn& unicorn, uc_engine* uc, const Prepared& prepared);

  const RegisterFile& registers() const { return registers_; }
  RegisterFile& registers() { return registers_; }
  bool Read(uint64_t address, void* to, size_t size) const;
  // Unsigned long of the guest.
  std::optional<uint64_t> Word(uint64_t address) const;
  // Up to its NUL or 256 bytes; nothing where it cannot be read.
  std::optional<std::string> CString(uint64_t address) const;
  // Of a kmem_cache; nothing where it cannot be read: `missing` is the address then, where it is known.
  std::optional<std::string> CacheName(uint64_t cache, uint64_t* missing) const;

  std::optional<uint64_t> ReturnAddress() const;
  // Makes the function return; `value` is what its caller gets.
  bool Return(std::optional<uint64_t> value) const;

  UsercopyFrame FrameAt(uint64_t address, bool reliable) const;
  // From the caller outwards: the chain of frames as far as it holds, then words on the stack that may be return addresses.
  std::vector<UsercopyFrame> Backtrace() const;
  const char* BacktraceMethod() const;
  // Whose frame a stack address lies in, in words.
  std::string DescribeStackAddress(uint64_t address) const;

  uint64_t mask() const { return mask_; }

 private:
  // See src/stack/frames.ts.
  struct Linked {
    uint64_t place;
    uint64_t start;
    std::optional<uint64_t> end;
    uint64_t record_start, record_end;
  };

  uint64_t StackPointer() const;
  std::vector<Linked> LinkedFrames() const;
  std::optional<uint64_t> ReturnAddressIn(uint64_t record, uint64_t next, bool from_register) const;
  bool IsText(uint64_t address) const { return address >= prepared_.text_start && address < prepared_.text_end; }
  uint64_t StackEnd(uint64_t address) const;
  void ScanStack(uint64_t from, uint64_t end, std::vector<UsercopyFrame>& frames) const;

  const Unicorn& unicorn_;
  uc_engine* uc_;
  const Prepared& prepared_;
  RegisterFile registers_;
  uint64_t mask_;
  int pc_, sp_, fp_, return_value_;
  // -1: none.
  int link_ = -1;
  int return_register_ = -1;
};

// `symbol+0x1c`, or the address.
std::string PlaceName(const UsercopyFrame& frame);
std::string Hex(uint64_t value);
std::string Range(uint64_t start, uint64_t end);
// As syzbot names what is at fault: the innermost function that belongs to neither the check nor its report; failing that, `caller`.
std::string Culprit(const std::vector<UsercopyFrame>& frames, const UsercopyFrame& caller);
