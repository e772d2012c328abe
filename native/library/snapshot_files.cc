#include "snapshot_files.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unicorn/unicorn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "failure.h"
#include "guest.h"
#include "json_reader.h"

namespace {

using Segment = SnapshotFiles::Segment;

constexpr JsonDocument kDocument{"snapshot", ""};
constexpr const char* kIndex = "_index.json";
constexpr uint64_t kPage = 4096;
// As src/guest/snapshot.ts has them.
constexpr size_t kLargestIndex = size_t{16} << 20;
constexpr size_t kMostSegments = 4096;
constexpr uint64_t kLargestSegment = uint64_t{1} << 30;
constexpr uint64_t kLargestSnapshot = uint64_t{4} << 30;
constexpr size_t kMostNames = 4096;
constexpr size_t kMostName = 255;
constexpr size_t kZlibOverhead = size_t{1} << 20;

[[noreturn]] void Refuse(const std::string& where, const std::string& expected, const std::string& found) {
  throw Failure("snapshot, " + where + ": expected " + expected + ", found " + found);
}

// A regular file of at most `most` bytes. A pipe without a writer must not block the opening.
std::vector<uint8_t> ReadFile(const std::string& path, const std::string& where, size_t most) {
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) Refuse(where, "a file that can be read", std::strerror(errno));
  struct stat status {};
  std::string flaw;
  std::vector<uint8_t> bytes;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) flaw = "something else";
  else if (static_cast<uint64_t>(status.st_size) > most) flaw = std::to_string(status.st_size) + " bytes";
  else bytes.resize(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (flaw.empty() && done < bytes.size()) {
    const ssize_t got = read(file, bytes.data() + done, bytes.size() - done);
    if (got <= 0) flaw = "one that ends early";
    else done += static_cast<size_t>(got);
  }
  close(file);
  if (!flaw.empty()) Refuse(where, "a regular file of at most " + std::to_string(most) + " bytes", flaw);
  return bytes;
}

// Without links; empty where there is no such thing.
std::string RealPath(const std::string& path) {
  char* const real = realpath(path.c_str(), nullptr);
  const std::string answer = real == nullptr ? "" : real;
  std::free(real);
  return answer;
}

// zlib's uncompress(), of the machine's zlib: nothing is linked to it, and only snapshots need it.
using Uncompress = int (*)(uint8_t* to, unsigned long* to_bytes, const uint8_t* from, unsigned long from_bytes);

Uncompress FindUncompress() {
  void* symbol = dlsym(RTLD_DEFAULT, "uncompress");
  for (const char* name : {"libz.so.1", "libz.so"}) {
    if (symbol != nullptr) break;
    void* const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) symbol = dlsym(handle, "uncompress");
  }
  if (symbol == nullptr) throw Failure("snapshot: expected zlib (libz.so.1) on this machine, found none");
  return reinterpret_cast<Uncompress>(symbol);
}

// The path of a file of the snapshot's own folder, of which `folder` is the real path.
std::string ContentOf(const JsonReader& segment, const std::string& folder) {
  const std::optional<JsonReader> content = segment.Find("content_file");
  const std::string name = content ? content->AnyText(kMostName) : "";
  if (name.empty()) return name;
  const std::string path = RealPath(folder + "/" + name);
  if (path.empty()) Refuse(content->place(), "a file that can be read", std::strerror(errno));
  const std::string inside = folder == "/" ? folder : folder + "/";
  if (path.compare(0, inside.size(), inside) != 0) {
    Refuse(content->place(), "a file in the snapshot's own folder", "one elsewhere");
  }
  return path;
}

Segment SegmentOf(const JsonReader& reader, const std::string& folder) {
  Segment segment{reader.At("start").Word(), 0, 0, "", false, 0};
  const uint64_t end = reader.At("end").Word();
  if (end <= segment.start || segment.start % kPage != 0 || end % kPage != 0) {
    Refuse(reader.place(), "whole pages from start to end", Hex(segment.start) + " to " + Hex(end));
  }
  segment.size = end - segment.start;
  if (segment.size > kLargestSegment) Refuse(reader.place(), "at most 1 GiB", std::to_string(segment.size) + " bytes");
  if (const std::optional<JsonReader> granted = reader.Find("permissions")) {
    const std::pair<const char*, uint32_t> bits[] = {{"r", UC_PROT_READ}, {"w", UC_PROT_WRITE}, {"x", UC_PROT_EXEC}};
    for (const auto& [letter, bit] : bits) {
      const std::optional<JsonReader> flag = granted->Find(letter);
      if (flag && flag->IsTrue()) segment.permissions |= bit;
    }
  }
  segment.content = ContentOf(reader, folder);
  if (const std::optional<JsonReader> place = reader.Find("usercopy_memory")) {
    segment.shares = true;
    segment.offset = place->Word();
    if (segment.offset % kPage != 0 || segment.offset > kLargestSnapshot - segment.size) {
      Refuse(place->place(), "whole pages within 4 GiB", Hex(segment.offset));
    }
  }
  return segment;
}

std::vector<Segment> SegmentsOf(const JsonReader& list, const std::string& folder) {
  std::vector<Segment> segments;
  uint64_t total = 0;
  for (const JsonReader& reader : list.Items(kMostSegments)) {
    segments.push_back(SegmentOf(reader, folder));
    total += segments.back().size;
    if (total > kLargestSnapshot) Refuse(reader.place(), "at most 4 GiB in all segments", "more");
  }
  if (segments.empty()) Refuse(list.place(), "one segment at least", "none");
  std::sort(segments.begin(), segments.end(),
            [](const Segment& one, const Segment& other) { return one.start < other.start; });
  for (size_t i = 1; i < segments.size(); ++i) {
    if (segments[i].start - segments[i - 1].start >= segments[i - 1].size) continue;
    Refuse(list.place(), "such that do not overlap", "two at " + Hex(segments[i].start));
  }
  return segments;
}

}  // namespace

SnapshotFiles ReadSnapshotFiles(const std::string& folder) {
  const std::vector<uint8_t> text = ReadFile(folder + "/" + kIndex, kIndex, kLargestIndex);
  const JsonReader::Json json = JsonReader::Json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded()) Refuse(kIndex, "JSON", "something else");
  const JsonReader index(json, kIndex, kDocument);
  SnapshotFiles files;
  files.segments = SegmentsOf(index.At("segments"), RealPath(folder));
  if (const std::optional<JsonReader> about = index.Find("arch")) {
    if (const std::optional<JsonReader> arch = about->Find("arch")) files.arch = arch->AnyText(kMostName);
  }
  if (const std::optional<JsonReader> registers = index.Find("regs")) {
    for (const auto& [name, value] : registers->Members(kMostNames)) {
      std::string lower = name;
      for (char& letter : lower) letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
      files.registers[lower] = value.Word();
    }
  }
  const std::optional<JsonReader> about = index.Find("usercopy");
  const std::optional<JsonReader> places = about ? about->Find("places") : std::nullopt;
  if (!places) return files;
  for (const auto& [name, range] : places->Members(kMostNames)) {
    const std::vector<JsonReader> ends = range.Items(2);
    if (ends.size() != 2) range.Refuse("[start, end)");
    files.places[name] = {ends[0].Word(), ends[1].Word()};
  }
  return files;
}

void ReadSnapshotSegment(const Segment& segment, uint8_t* to) {
  static const Uncompress uncompress = FindUncompress();
  const std::string where = "the bytes at " + Hex(segment.start);
  const size_t most = segment.size + (segment.size >> 8) + kZlibOverhead;
  const std::vector<uint8_t> packed = ReadFile(segment.content, where, most);
  unsigned long got = segment.size;
  const int answer = uncompress(to, &got, packed.data(), packed.size());
  if (answer == 0 && got == segment.size) return;
  Refuse(where, "as many as the segment has, in zlib's format", "something else");
}
