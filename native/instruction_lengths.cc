#include "instruction_lengths.h"

#include <algorithm>

namespace {

constexpr size_t kLongestX86 = 15;

// What follows an x86 opcode byte. Intel SDM volume 2, appendix A (opcode maps).
enum Operand : uint8_t {
  kNone = 0,
  kModRm = 1,
  kByte = 2,    // an immediate of 1 byte
  kWord = 4,    // of 2
  kOffset = 8,  // of 2 or 4, by operand size
  kBad = 16,
  kPrefix = 32,
};

constexpr uint8_t M = kModRm, B = kByte, V = kOffset, W = kWord, P = kPrefix, X = kBad;

constexpr uint8_t kOneByte[256] = {
    // 0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f
    M, M, M, M, B, V, 0, 0, M, M, M, M, B, V, 0, P,                          // 0
    M, M, M, M, B, V, 0, 0, M, M, M, M, B, V, 0, 0,                          // 1
    M, M, M, M, B, V, P, 0, M, M, M, M, B, V, P, 0,                          // 2
    M, M, M, M, B, V, P, 0, M, M, M, M, B, V, P, 0,                          // 3
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                          // 4
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                          // 5
    0, 0, M, M, P, P, P, P, V, M | V, B, M | B, 0, 0, 0, 0,                  // 6
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,                          // 7
    M | B, M | V, M | B, M | B, M, M, M, M, M, M, M, M, M, M, M, M,          // 8
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, V | W, 0, 0, 0, 0, 0,                      // 9
    0, 0, 0, 0, 0, 0, 0, 0, B, V, 0, 0, 0, 0, 0, 0,                          // a (a0 to a3: below)
    B, B, B, B, B, B, B, B, V, V, V, V, V, V, V, V,                          // b
    M | B, M | B, W, 0, M, M, M | B, M | V, W | B, 0, W, 0, 0, B, 0, 0,      // c
    M, M, M, M, B, B, 0, 0, M, M, M, M, M, M, M, M,                          // d
    B, B, B, B, B, B, B, B, V, V, V | W, B, 0, 0, 0, 0,                      // e
    P, 0, P, P, 0, 0, M, M, 0, 0, 0, 0, 0, 0, M, M,                          // f (f6, f7: below)
};

// After 0f.
constexpr uint8_t kTwoByte[256] = {
    M, M, M, M, X, 0, 0, 0, 0, 0, X, 0, X, M, 0, M | B,                      // 0
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // 1
    M, M, M, M, X, X, X, X, M, M, M, M, M, M, M, M,                          // 2
    0, 0, 0, 0, 0, 0, X, 0, P, X, P, X, X, X, X, X,                          // 3
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // 4
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // 5
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // 6
    M | B, M | B, M | B, M | B, M, M, M, 0, M, M, X, X, M, M, M, M,          // 7
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,                          // 8
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // 9
    0, 0, 0, M, M | B, M, X, X, 0, 0, 0, M, M | B, M, M, M,                  // a
    M, M, M, M, M, M, M, M, M, M, M | B, M, M, M, M, M,                      // b
    M, M, M | B, M, M | B, M | B, M | B, M, 0, 0, 0, 0, 0, 0, 0, 0,          // c
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // d
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // e
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,                          // f
};

// One instruction's bytes, read one after the other; those past the end read as 0.
class X86Instruction {
 public:
  X86Instruction(int bits, const uint8_t* code, size_t size) : bits_(bits), code_(code), size_(size) {}

  // 0: none.
  size_t Length() {
    bool address_prefix = false;
    bool operand_prefix = false;
    bool wide = false;
    uint8_t opcode = Next();
    for (;; opcode = Next()) {
      if (at_ > kLongestX86) return 0;
      if (opcode == 0x66) {
        operand_prefix = true;
      } else if (opcode == 0x67) {
        address_prefix = true;
      } else if ((kOneByte[opcode] & kPrefix) == 0 || opcode == 0x0f) {
        break;
      }
    }
    if (bits_ == 64 && (opcode & 0xf0) == 0x40) {  // REX
      wide = (opcode & 8) != 0;
      opcode = Next();
    }
    address_bits_ = bits_ == 64 ? (address_prefix ? 32 : 64) : (bits_ == 32) != address_prefix ? 32 : 16;
    // 66 also shortens a near jump in 64-bit code, as on AMD's processors: Unicorn's way.
    const size_t offset = wide || (bits_ != 16) != operand_prefix ? 4 : 2;

    // In 32-bit code c4, c5 and 62 are les, lds and bound unless the next byte would be a register operand.
    const bool vector = (opcode == 0xc4 || opcode == 0xc5 || opcode == 0x62) && (bits_ == 64 || (Peek() & 0xc0) == 0xc0);
    if (vector) return Vector(opcode);

    uint8_t operands = kOneByte[opcode];
    if (opcode == 0x0f) {
      opcode = Next();
      operands = kTwoByte[opcode];
      if (operands == kPrefix) {  // 0f 38, 0f 3a
        operands = opcode == 0x3a ? kModRm | kByte : kModRm;
        Next();
      } else if ((opcode & 0xfc) == 0x20) {  // control and debug registers: always a register operand
        return At(1);
      }
    } else if (opcode >= 0xa0 && opcode <= 0xa3) {
      return At(static_cast<size_t>(address_bits_) / 8);
    } else if (opcode >= 0xb8 && opcode <= 0xbf && wide) {
      return At(8);
    } else if (opcode == 0xf6 || opcode == 0xf7) {
      const bool test = (Peek() & 0x30) == 0;
      operands = static_cast<uint8_t>(kModRm | (!test ? kNone : opcode == 0xf6 ? kByte : kOffset));
    }
    if ((operands & kBad) != 0) return 0;
    if ((operands & kModRm) != 0) ModRm();
    if ((operands & kByte) != 0) at_ += 1;
    if ((operands & kWord) != 0) at_ += 2;
    if ((operands & kOffset) != 0) at_ += offset;
    return At(0);
  }

 private:
  uint8_t Peek() const { return at_ < size_ ? code_[at_] : 0; }
  uint8_t Next() {
    const uint8_t byte = Peek();
    ++at_;
    return byte;
  }
  size_t At(size_t more) const { return at_ + more <= kLongestX86 ? at_ + more : 0; }

  void ModRm() {
    const uint8_t byte = Next();
    const int mod = byte >> 6;
    const int rm = byte & 7;
    if (mod == 3) return;
    if (address_bits_ == 16) {
      at_ += mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
      return;
    }
    const int base = rm == 4 ? Next() & 7 : rm;
    at_ += mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
  }

  // VEX and EVEX: the map, the opcode, ModRM, and an immediate in map 3 and where 0f has one.
  size_t Vector(uint8_t escape) {
    int map = 1;
    if (escape == 0xc5) {
      Next();
    } else if (escape == 0xc4) {
      map = Next() & 0x1f;
      Next();
    } else {
      map = Next() & 7;
      Next();
      Next();
    }
    const uint8_t opcode = Next();
    if (map == 1 && opcode == 0x77) return At(0);  // vzeroupper
    ModRm();
    const bool immediate = map == 3 || (map == 1 && (kTwoByte[opcode] & kByte) != 0);
    return At(immediate ? 1 : 0);
  }

  const int bits_;
  const uint8_t* const code_;
  const size_t size_;
  size_t at_ = 0;
  int address_bits_ = 0;
};

size_t LengthAt(CodeKind kind, bool big_endian, const uint8_t* code, size_t size) {
  switch (kind) {
    case CodeKind::kFixed4: return 4;
    // Arm ARM (DDI 0406C) A6.1: 0b11101, 0b11110 and 0b11111 begin a pair of halfwords.
    case CodeKind::kThumb: return size < 2 ? 2 : code[big_endian ? 0 : 1] >= 0xe8 ? 4 : 2;
    // The RISC-V Instruction Set Manual, volume I, "Instruction length encoding": of up to 32 bits, as far as they are used.
    case CodeKind::kRiscv: return (code[0] & 3) == 3 ? 4 : 2;
    // z/Architecture Principles of Operation, "Instruction formats": by the first two bits.
    case CodeKind::kS390: return code[0] < 0x40 ? 2 : code[0] < 0xc0 ? 4 : 6;
    case CodeKind::kX86_16: return X86Instruction(16, code, size).Length();
    case CodeKind::kX86_32: return X86Instruction(32, code, size).Length();
    case CodeKind::kX86_64: return X86Instruction(64, code, size).Length();
  }
  return 0;
}

}  // namespace

CodeKind CodeKindOf(uc_arch arch, uc_mode mode, bool thumb) {
  if (arch == UC_ARCH_X86) {
    return mode & UC_MODE_64 ? CodeKind::kX86_64 : mode & UC_MODE_32 ? CodeKind::kX86_32 : CodeKind::kX86_16;
  }
  if (arch == UC_ARCH_S390X) return CodeKind::kS390;
  if (arch == UC_ARCH_RISCV) return CodeKind::kRiscv;
  return arch == UC_ARCH_ARM && thumb ? CodeKind::kThumb : CodeKind::kFixed4;
}

std::vector<uint8_t> SplitInstructions(CodeKind kind, bool big_endian, const uint8_t* code, size_t size) {
  std::vector<uint8_t> lengths;
  for (size_t at = 0; at < size;) {
    const size_t length = LengthAt(kind, big_endian, code + at, size - at);
    const size_t known = length == 0 || length > size - at ? size - at : length;
    lengths.push_back(static_cast<uint8_t>(std::min<size_t>(known, UINT8_MAX)));
    at += known;
  }
  return lengths;
}
