// The memory of a guest that was written down, and room before it for the control areas of checks. The check reaches what lies in
// its linear memory without a call: one whose control area lies here has the guest's bytes in it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

class GuestMemory {
 public:
  GuestMemory() = default;
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  // Once: the first `size` bytes of a file, private to each process. False: errno says why.
  bool Map(int file, uint64_t size);
  // The guest's; null before Map().
  uint8_t* bytes() const { return bytes_; }

  // Room for a control area, zeroed; null: there is none left, the area is larger, or the guest's end is out of its reach.
  uint8_t* Take(size_t size);
  void GiveBack(uint8_t* area);
  // Of the linear memory that begins with a control area: a multiple of WebAssembly's pages. All of it can be read.
  uint32_t LinearSize(const uint8_t* area) const;

 private:
  static constexpr size_t kAreas = 8;

  uint8_t* start_ = nullptr;
  uint64_t whole_ = 0;
  uint8_t* bytes_ = nullptr;
  std::array<bool, kAreas> is_taken_{};
};
