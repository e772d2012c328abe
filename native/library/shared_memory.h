// Guest memory that the check reads in place: the regions of its linear memory, and whether libunicorn still says the same.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

// What lies at [start, start + size) of the guest, by its distance from the control area.
struct SharedRegion {
  uint64_t start = 0, size = 0;
  uint32_t offset = 0;
};

class SharedMemory {
 public:
  SharedMemory() = default;
  // Writes the regions, which do not overlap, into a table at `table` of the control area at `control`.
  SharedMemory(uint8_t* control, uint32_t context, uint32_t table, std::vector<SharedRegion> regions);

  // Bytes of such a table.
  static uint32_t TableBytes(size_t regions);

  // Whether the check reads in place.
  bool is_open() const { return is_open_; }
  // Whether the next judgement is one to compare: every 256th is.
  bool IsDue() { return is_open_ && ++judged_ % kComparedEach == 0; }

  // Until the end of the comparison nothing is read in place: the reader is asked, and tells what it was answered.
  void BeginComparison();
  // `bytes`: what the emulator has at the address; null: nothing.
  void Compare(uint64_t address, uint32_t length, const uint8_t* bytes);
  // Where the emulator has something else, nothing is read in place any more; true, and `difference` says where.
  bool EndComparison(uint64_t* difference);
  bool is_comparing() const { return is_comparing_; }

 private:
  static constexpr uint32_t kComparedEach = 256;

  void SetOpen(bool is_open);

  uint8_t* control_ = nullptr;
  uint32_t context_ = 0;
  std::vector<SharedRegion> regions_;
  uint32_t judged_ = 0;
  bool is_open_ = false;
  bool is_comparing_ = false;
  bool differs_ = false;
  uint64_t difference_ = 0;
};
