#include "guest_memory.h"

#include <sys/mman.h>

#include <algorithm>

namespace {

constexpr uint64_t kWasmPage = 65536;
constexpr uint64_t kArea = uint64_t{32} << 20;
// A field of a structure lies no further than this from the structure's start; zeros are read beyond the guest's end.
constexpr uint64_t kFarthestField = uint64_t{16} << 20;

uint64_t RoundUp(uint64_t size) { return (size + kWasmPage - 1) / kWasmPage * kWasmPage; }

}  // namespace

GuestMemory::~GuestMemory() {
  if (start_ != nullptr) munmap(start_, whole_);
}

bool GuestMemory::Map(int file, uint64_t size) {
  constexpr int kFlags = MAP_PRIVATE | MAP_NORESERVE;
  whole_ = kAreas * kArea + RoundUp(size) + kFarthestField + kWasmPage;
  void* const start = mmap(nullptr, whole_, PROT_READ, kFlags | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return false;
  start_ = static_cast<uint8_t*>(start);
  void* const bytes = mmap(start_ + kAreas * kArea, size, PROT_READ | PROT_WRITE, kFlags | MAP_FIXED, file, 0);
  if (bytes == MAP_FAILED) return false;
  bytes_ = static_cast<uint8_t*>(bytes);
  return true;
}

uint8_t* GuestMemory::Take(size_t size) {
  if (size > kArea) return nullptr;
  const auto last = std::find(is_taken_.rbegin(), is_taken_.rend(), false);
  if (last == is_taken_.rend()) return nullptr;
  const auto index = static_cast<size_t>(is_taken_.rend() - last - 1);
  uint8_t* const area = start_ + index * kArea;
  if (whole_ - index * kArea > UINT32_MAX) return nullptr;
  if (mprotect(area, size, PROT_READ | PROT_WRITE) != 0) return nullptr;
  is_taken_[index] = true;
  return area;
}

void GuestMemory::GiveBack(uint8_t* area) {
  madvise(area, kArea, MADV_DONTNEED);
  mprotect(area, kArea, PROT_READ);
  is_taken_[static_cast<size_t>(area - start_) / kArea] = false;
}

uint32_t GuestMemory::LinearSize(const uint8_t* area) const {
  return static_cast<uint32_t>((whole_ - static_cast<uint64_t>(area - start_)) / kWasmPage * kWasmPage);
}
