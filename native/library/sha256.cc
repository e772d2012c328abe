#include "sha256.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

constexpr size_t kBlock = 64;

uint32_t RotateRight(uint32_t word, int by) { return word >> by | word << (32 - by); }

// The first 32 bits of the fractional parts of the roots of the first primes (section 4.2.2 and 5.3.3).
struct Constants {
  std::array<uint32_t, 64> rounds{};
  std::array<uint32_t, 8> start{};

  Constants() {
    size_t count = 0;
    for (uint32_t number = 2; count < rounds.size(); ++number) {
      bool is_prime = true;
      for (uint32_t divisor = 2; divisor * divisor <= number; ++divisor) is_prime = is_prime && number % divisor != 0;
      if (!is_prime) continue;
      if (count < start.size()) start[count] = Fraction(std::sqrt(static_cast<long double>(number)));
      rounds[count++] = Fraction(std::cbrt(static_cast<long double>(number)));
    }
  }

  static uint32_t Fraction(long double root) {
    return static_cast<uint32_t>((root - std::floor(root)) * 4294967296.0L);
  }
};

void Compress(std::array<uint32_t, 8>& state, const uint8_t* block, const Constants& constants) {
  std::array<uint32_t, 64> words{};
  for (size_t i = 0; i < 16; ++i) {
    words[i] = static_cast<uint32_t>(block[4 * i]) << 24 | static_cast<uint32_t>(block[4 * i + 1]) << 16 |
               static_cast<uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
  }
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t low = RotateRight(words[i - 15], 7) ^ RotateRight(words[i - 15], 18) ^ words[i - 15] >> 3;
    const uint32_t high = RotateRight(words[i - 2], 17) ^ RotateRight(words[i - 2], 19) ^ words[i - 2] >> 10;
    words[i] = words[i - 16] + low + words[i - 7] + high;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t first = h + (RotateRight(e, 6) ^ RotateRight(e, 11) ^ RotateRight(e, 25)) + ((e & f) ^ (~e & g)) +
                           constants.rounds[i] + words[i];
    const uint32_t second =
        (RotateRight(a, 2) ^ RotateRight(a, 13) ^ RotateRight(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const std::array<uint32_t, 8> added{a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < state.size(); ++i) state[i] += added[i];
}

}  // namespace

std::string Sha256(const char* text, size_t size) {
  const Constants constants;
  std::array<uint32_t, 8> state = constants.start;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text);
  size_t done = 0;
  for (; size - done >= kBlock; done += kBlock) Compress(state, bytes + done, constants);
  std::array<uint8_t, 2 * kBlock> last{};
  const size_t rest = size - done;
  if (rest > 0) std::memcpy(last.data(), bytes + done, rest);
  last[rest] = 0x80;
  const size_t padded = rest + 9 <= kBlock ? kBlock : 2 * kBlock;
  for (size_t i = 0; i < 8; ++i) last[padded - 1 - i] = static_cast<uint8_t>(static_cast<uint64_t>(size) * 8 >> (8 * i));
  for (size_t at = 0; at < padded; at += kBlock) Compress(state, last.data() + at, constants);
  static const char digits[] = "0123456789abcdef";
  std::string hex;
  for (const uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) hex += digits[word >> shift & 15];
  }
  return hex;
}
