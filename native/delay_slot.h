// Machines on which the instruction behind a jump is executed before it is taken. Between the two libunicorn keeps to itself where the
// jump goes: a run that is left there forgets it.
#pragma once
#include <cstdint>

#include "emulator.h"
#include "sparc.h"

inline bool HasDelaySlots(const Emulator& emulator) {
  return emulator.arch() == UC_ARCH_SPARC || emulator.arch() == UC_ARCH_MIPS;
}

// MIPS32 Architecture for Programmers, volume II: opcodes of jumps, of branches, and of those whose further fields tell.
inline bool IsMipsJump(uint32_t word) {
  const uint32_t opcode = word >> 26;
  const uint32_t function = word & 63;
  const uint32_t rs = word >> 21 & 31;
  const uint32_t rt = word >> 16 & 31;
  switch (opcode) {
    case 0: return function == 8 || function == 9;      // jr, jalr
    case 1: return (rt & 0xc) == 0;                     // bltz, bgez, and those that link or are likely
    case 17: case 18: return rs == 8;                   // bc1, bc2
    default: return (opcode >= 2 && opcode <= 7) || (opcode >= 20 && opcode <= 23);
  }
}

// Whether the instruction behind this one is in its delay slot. Reads guest memory.
inline bool JumpsLate(const Emulator& emulator, uint64_t address) {
  if (emulator.arch() == UC_ARCH_SPARC) return HasDelaySlot(emulator.uc(), address);
  uint8_t code[4] = {};
  if (libunicorn.mem_read(emulator.uc(), address, code, sizeof code) != UC_ERR_OK) return false;
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word |= uint32_t{code[emulator.big_endian() ? 3 - i : i]} << (8 * i);
  return IsMipsJump(word);
}
