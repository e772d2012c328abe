#include "code.h"

namespace {
constexpr uint64_t kPage = 4096;
}

// Translated blocks are kept by physical address; only the first byte of a range is translated by
// uc_ctl_remove_cache(), so that a range is dropped page by page: those pages that hold translated code.
void TranslatedCode::Drop(uint64_t address, uint64_t length) {
  if (length == 0 || !started_) return;
  ++drops_;
  DropOrphans();
  const uint64_t last = address + (length - 1) < address ? UINT64_MAX : address + (length - 1);
  const uint64_t last_page = last / kPage;
  for (auto page = pages_.lower_bound(address / kPage); page != pages_.end() && *page <= last_page; ++page) {
    const uint64_t page_start = *page * kPage;
    const uint64_t start = page_start > address ? page_start : address;
    const uint64_t page_last = page_start | (kPage - 1);
    const uint64_t end = page_last < last ? page_last : last;
    libunicorn.RemoveCache(emulator_.uc(), start, end == UINT64_MAX ? end : end + 1);
  }
}

// 2.0.1: uc_ctl_flush_tlb() writes zeroes over the whole translation buffer: a gigabyte that was never touched before.
void TranslatedCode::DropAll() {
  if (!started_) return;
  ++drops_;
  DropOrphans();
  for (const uint64_t page : pages_) libunicorn.RemoveCache(emulator_.uc(), page * kPage, page * kPage + (kPage - 1));
  pages_.clear();
}

// A block whose page was mapped by the callback for its fetch is kept in the CPU's jump cache alone (2.0.1: tb_gen_code()
// took its physical address before). That cache is emptied whenever memory is mapped: map a page for a moment.
void TranslatedCode::DropOrphans() {
  constexpr uint64_t kScratch = 8192;
  constexpr int kAttempts = 64;
  if (!orphans_) return;
  orphans_ = false;
  uint64_t address = 0xffff0000;
  for (int i = 0; i < kAttempts; ++i, address -= kScratch) {
    if (libunicorn.mem_map(emulator_.uc(), address, kScratch, UC_PROT_NONE) != UC_ERR_OK) continue;
    libunicorn.mem_unmap(emulator_.uc(), address, kScratch);
    return;
  }
}

void TranslatedCode::Note(uint64_t address, uint64_t size) {
  for (uint64_t page = address / kPage; page <= (address + (size == 0 ? 0 : size - 1)) / kPage; ++page) {
    pages_.insert(page);
  }
}

void TranslatedCode::Forget(uint64_t address, uint64_t size) {
  pages_.erase(pages_.lower_bound(address / kPage), pages_.upper_bound((address + (size - 1)) / kPage));
}
