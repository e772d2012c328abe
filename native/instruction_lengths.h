// Where the instructions of a piece of code begin, without disassembling them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "libunicorn.h"

enum class CodeKind {
  kFixed4,  // ARM, arm64, powerpc, sparc
  kThumb,
  kS390,
  kRiscv,
  kX86_16,
  kX86_32,
  kX86_64,
};

CodeKind CodeKindOf(uc_arch arch, uc_mode mode, bool thumb);

// The lengths of the instructions in a piece of code. An undefined instruction takes all bytes that are left.
std::vector<uint8_t> SplitInstructions(CodeKind kind, bool big_endian, const uint8_t* code, size_t size);
