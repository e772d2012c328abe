#include "shared_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "check_layout.h"

SharedMemory::SharedMemory(uint8_t* control, uint32_t context, uint32_t table, std::vector<SharedRegion> regions)
    : control_(control), context_(context), regions_(std::move(regions)) {
  namespace l = layout;
  std::sort(regions_.begin(), regions_.end(),
            [](const SharedRegion& one, const SharedRegion& other) { return one.start < other.start; });
  for (const SharedRegion& region : regions_) {
    std::memcpy(control_ + table + l::RegionLayout_start, &region.start, sizeof region.start);
    std::memcpy(control_ + table + l::RegionLayout_size, &region.size, sizeof region.size);
    std::memcpy(control_ + table + l::RegionLayout_offset, &region.offset, sizeof region.offset);
    table += l::RegionLayout_BYTES;
  }
  table -= TableBytes(regions_.size());
  std::memcpy(control_ + context_ + l::ContextLayout_regions, &table, sizeof table);
  SetOpen(true);
}

uint32_t SharedMemory::TableBytes(size_t regions) { return static_cast<uint32_t>(regions) * layout::RegionLayout_BYTES; }

void SharedMemory::SetOpen(bool is_open) {
  namespace l = layout;
  is_open_ = is_open;
  const auto count = is_open ? static_cast<uint32_t>(regions_.size()) : 0;
  std::memcpy(control_ + context_ + l::ContextLayout_regionCount, &count, sizeof count);
  for (uint32_t kind = 0; kind < l::Kind_COUNT; ++kind) {
    uint8_t* const window = control_ + context_ + l::WindowPlace_OFFSET + kind * l::WindowLayout_BYTES;
    std::memset(window + l::WindowLayout_room, 0, sizeof(uint64_t));
  }
}

void SharedMemory::BeginComparison() {
  SetOpen(false);
  is_comparing_ = true;
  differs_ = false;
}

void SharedMemory::Compare(uint64_t address, uint32_t length, const uint8_t* bytes) {
  if (differs_) return;
  for (const SharedRegion& region : regions_) {
    const uint64_t delta = address - region.start;
    if (address < region.start || delta >= region.size || region.size - delta < length) continue;
    if (bytes != nullptr && std::memcmp(control_ + region.offset + delta, bytes, length) == 0) return;
    differs_ = true;
    difference_ = address;
    return;
  }
}

bool SharedMemory::EndComparison(uint64_t* difference) {
  is_comparing_ = false;
  if (!differs_) SetOpen(true);
  *difference = difference_;
  return differs_;
}
