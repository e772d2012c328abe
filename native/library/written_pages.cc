// Linux, Documentation/admin-guide/mm/pagemap.rst: a word for each page of the process.
#include "written_pages.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace {

constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kSwapped = uint64_t{1} << 62;
constexpr uint64_t kOfFile = uint64_t{1} << 61;

}  // namespace

std::optional<std::vector<uint64_t>> WrittenPages(const uint8_t* memory, uint64_t bytes) {
  // Opened anew each time: it tells of the process that opened it, which may have forked since.
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = reinterpret_cast<uintptr_t>(memory) / page;
  const uint64_t count = (bytes + page - 1) / page;
  std::vector<uint64_t> written;
  std::array<uint64_t, 4096> words;
  uint64_t done = 0;
  while (done < count) {
    const size_t size = std::min<uint64_t>(words.size(), count - done) * sizeof words[0];
    const ssize_t got = pread(file, words.data(), size, static_cast<off_t>((first + done) * sizeof words[0]));
    if (got <= 0 || got % static_cast<ssize_t>(sizeof words[0]) != 0) break;
    const size_t read = static_cast<size_t>(got) / sizeof words[0];
    for (size_t i = 0; i < read; ++i) {
      const bool is_there = (words[i] & (kPresent | kSwapped)) != 0;
      if (is_there && (words[i] & kOfFile) == 0) written.push_back((done + i) * page);
    }
    done += read;
  }
  close(file);
  if (done < count) return std::nullopt;
  return written;
}
