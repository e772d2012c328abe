#include "snapshot.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "failure.h"
#include "guest.h"

namespace {

using Json = nlohmann::json;

constexpr uint64_t kPage = 4096;
// As src/guest/snapshot.ts has them.
constexpr size_t kLargestIndex = size_t{16} << 20;
constexpr size_t kMostSegments = 4096;
constexpr uint64_t kLargestSegment = uint64_t{1} << 30;
constexpr uint64_t kLargestSnapshot = uint64_t{4} << 30;
constexpr size_t kMostNames = 4096;
constexpr size_t kMostName = 255;
constexpr size_t kZlibOverhead = size_t{1} << 20;
// UC_CTL_TLB_TYPE and UC_TLB_VIRTUAL, which 2.0.1's header lacks.
constexpr int kTlbType = 12;
constexpr int kTlbVirtual = 1;

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

const Json* Member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// An integer, or a text of 0x… or decimal digits.
bool WordOf(const Json& value, uint64_t& word) {
  if (value.is_number_unsigned()) {
    word = value.get<uint64_t>();
    return true;
  }
  if (value.is_number_integer()) {
    word = static_cast<uint64_t>(value.get<int64_t>());
    return true;
  }
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  const bool is_hex = text.size() > 2 && text[0] == '0' && text[1] == 'x';
  const std::string digits = is_hex ? text.substr(2) : text;
  const char* const allowed = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
  if (digits.empty() || digits.size() > (is_hex ? 16 : 20) || digits.find_first_not_of(allowed) != std::string::npos) {
    return false;
  }
  errno = 0;
  word = std::strtoull(digits.c_str(), nullptr, is_hex ? 16 : 10);
  return errno == 0;
}

uint64_t Word(const Json& object, const char* name, const std::string& where) {
  const Json* const value = Member(object, name);
  uint64_t word = 0;
  if (value == nullptr || !WordOf(*value, word)) Refuse(where + "." + name, "a number of 64 bits", "no such thing");
  return word;
}

// zlib's uncompress(), of the machine's zlib: nothing is linked to it, and only snapshots need it.
using Uncompress = int (*)(uint8_t* to, unsigned long* to_bytes, const uint8_t* from, unsigned long from_bytes);

Uncompress FindUncompress() {
  void* symbol = dlsym(RTLD_DEFAULT, "uncompress");
  for (const char* name : {"libz.so.1", "libz.so", "libz.dylib"}) {
    if (symbol != nullptr) break;
    void* const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) symbol = dlsym(handle, "uncompress");
  }
  if (symbol == nullptr) throw Failure("snapshot: expected zlib (libz.so.1) on this machine, found none");
  return reinterpret_cast<Uncompress>(symbol);
}

}  // namespace

UsercopySnapshot::UsercopySnapshot(const Unicorn& unicorn, uc_engine* uc, const std::string& folder)
    : unicorn_(unicorn), uc_(uc), registers_(unicorn_, uc) {
  try {
    Read(folder);
    LayOut();
    Fill(folder);
    Map();
    SetRegisters();
  } catch (...) {
    if (memory_ != nullptr) munmap(memory_, bytes_);
    if (file_ >= 0) close(file_);
    throw;
  }
}

UsercopySnapshot::~UsercopySnapshot() {
  munmap(memory_, bytes_);
  close(file_);
}

void UsercopySnapshot::Read(const std::string& folder) {
  const std::vector<uint8_t> text = ReadFile(folder + "/_index.json", "_index.json", kLargestIndex);
  const Json index = Json::parse(text.begin(), text.end(), nullptr, false);
  const Json* const segments = Member(index, "segments");
  if (segments == nullptr || !segments->is_array()) Refuse("_index.json", "JSON with a list of segments", "no such thing");
  if (segments->size() > kMostSegments) {
    Refuse("_index.json", "at most " + std::to_string(kMostSegments) + " segments", std::to_string(segments->size()));
  }
  uint64_t total = 0;
  for (const Json& value : *segments) {
    const std::string where = "segments[" + std::to_string(segments_.size()) + "]";
    Segment segment{Word(value, "start", where), Word(value, "end", where), 0, "", false, 0};
    if (segment.size <= segment.start || segment.start % kPage != 0 || segment.size % kPage != 0) {
      Refuse(where, "whole pages from start to end", Hex(segment.start) + " to " + Hex(segment.size));
    }
    segment.size -= segment.start;
    total += segment.size;
    if (segment.size > kLargestSegment) Refuse(where, "at most 1 GiB", std::to_string(segment.size) + " bytes");
    if (total > kLargestSnapshot) Refuse(where, "at most 4 GiB in all segments", "more");
    if (const Json* const granted = Member(value, "permissions")) {
      const std::pair<const char*, uint32_t> bits[] = {{"r", UC_PROT_READ}, {"w", UC_PROT_WRITE}, {"x", UC_PROT_EXEC}};
      for (const auto& [letter, bit] : bits) {
        const Json* const flag = Member(*granted, letter);
        if (flag != nullptr && flag->is_boolean() && flag->get<bool>()) segment.permissions |= bit;
      }
    }
    const Json* const content = Member(value, "content_file");
    if (content != nullptr && !content->is_string()) Refuse(where + ".content_file", "a file name", content->type_name());
    if (content != nullptr) segment.content = content->get<std::string>();
    const bool is_outside = segment.content.find('/') != std::string::npos || segment.content == ".." ||
                            segment.content.find('\0') != std::string::npos || segment.content.size() > kMostName;
    if (is_outside) Refuse(where + ".content_file", "a file in the snapshot's own folder", "another name");
    if (const Json* const place = Member(value, "usercopy_memory")) {
      segment.shares = WordOf(*place, segment.offset);
      if (!segment.shares || segment.offset % kPage != 0 || segment.offset > kLargestSnapshot - segment.size) {
        Refuse(where + ".usercopy_memory", "whole pages within 4 GiB", "no such thing");
      }
    }
    segments_.push_back(std::move(segment));
  }
  if (const Json* const values = Member(index, "regs"); values != nullptr && values->is_object()) {
    for (const auto& [name, value] : values->items()) {
      uint64_t word = 0;
      if (!WordOf(value, word)) Refuse("regs", "numbers of 64 bits", "something else");
      std::string lower = name;
      for (char& letter : lower) letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
      values_[lower] = word;
    }
  }
  const Json* const about = Member(index, "usercopy");
  const Json* const places = about == nullptr ? nullptr : Member(*about, "places");
  if (places == nullptr || !places->is_object() || places->size() > kMostNames) return;
  for (const auto& [name, range] : places->items()) {
    Place place{};
    if (!range.is_array() || range.size() != 2 || !WordOf(range[0], place.start) || !WordOf(range[1], place.end)) {
      Refuse("usercopy.places", "[start, end) by name", "something else");
    }
    places_[name] = place;
  }
}

// Segments that share memory keep their places in it; the others follow in address order, so that neighbours stay together.
void UsercopySnapshot::LayOut() {
  std::sort(segments_.begin(), segments_.end(),
            [](const Segment& one, const Segment& other) { return one.start < other.start; });
  const Segment* before = nullptr;
  for (const Segment& segment : segments_) {
    if (before != nullptr && segment.start - before->start < before->size) {
      Refuse("segments", "such that do not overlap", "two at " + Hex(segment.start));
    }
    before = &segment;
    if (segment.shares) bytes_ = std::max(bytes_, segment.offset + segment.size);
  }
  for (Segment& segment : segments_) {
    if (segment.shares) continue;
    segment.offset = bytes_;
    bytes_ += segment.size;
  }
  if (bytes_ == 0) Refuse("_index.json", "one segment at least", "none");
}

void UsercopySnapshot::Fill(const std::string& folder) {
  file_ = memfd_create("usercopy-snapshot", MFD_CLOEXEC);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes_)) != 0) {
    Refuse("memory", std::to_string(bytes_) + " bytes", std::strerror(errno));
  }
  void* const shared = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (shared == MAP_FAILED) Refuse("memory", std::to_string(bytes_) + " bytes", std::strerror(errno));
  std::string flaw;
  try {
    const Uncompress uncompress = FindUncompress();
    for (const Segment& segment : segments_) {
      if (segment.content.empty()) continue;
      const size_t most = segment.size + (segment.size >> 8) + kZlibOverhead;
      const std::vector<uint8_t> packed = ReadFile(folder + "/" + segment.content, "the bytes at " + Hex(segment.start), most);
      unsigned long got = segment.size;
      const int answer = uncompress(static_cast<uint8_t*>(shared) + segment.offset, &got, packed.data(), packed.size());
      if (answer == 0 && got == segment.size) continue;
      flaw = "the bytes at " + Hex(segment.start);
      break;
    }
  } catch (...) {
    munmap(shared, bytes_);
    throw;
  }
  munmap(shared, bytes_);
  if (!flaw.empty()) Refuse(flaw, "as many as the segment has, in zlib's format", "something else");
}

void UsercopySnapshot::Map() {
  void* const memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file_, 0);
  if (memory == MAP_FAILED) Refuse("memory", std::to_string(bytes_) + " bytes", std::strerror(errno));
  memory_ = static_cast<uint8_t*>(memory);
  // From 2.1 on kernel addresses would be cut to the width of physical ones. 2.0.1 has no such thing to set.
  unicorn_.ctl(uc_, static_cast<uc_control_type>(UC_CTL_WRITE(kTlbType, 1)), kTlbVirtual);
  // Regions are dear: neighbours become one.
  for (size_t i = 0; i < segments_.size();) {
    const Segment& first = segments_[i];
    uint64_t size = first.size;
    for (++i; i < segments_.size(); ++i) {
      const Segment& next = segments_[i];
      const bool goes_on = next.start == first.start + size && next.offset == first.offset + size &&
                           next.permissions == first.permissions;
      if (!goes_on) break;
      size += next.size;
    }
    const uc_err mapped = unicorn_.mem_map_ptr(uc_, first.start, size, first.permissions, memory_ + first.offset);
    if (mapped != UC_ERR_OK) {
      Refuse(Hex(first.start), "room for " + std::to_string(size) + " bytes in the emulator", unicorn_.strerror(mapped));
    }
  }
}

void UsercopySnapshot::SetRegisters() {
  unknown_registers_.clear();
  for (const auto& [name, value] : values_) {
    const int id = registers_.Look(name);
    if (id < 0 || unicorn_.reg_write(uc_, id, &value) != UC_ERR_OK) unknown_registers_.push_back(name);
  }
}

void UsercopySnapshot::Restore() {
  // The pages that were written are dropped: what shows then is what the file holds.
  if (madvise(memory_, bytes_, MADV_DONTNEED) != 0) throw Failure(std::string("madvise: ") + std::strerror(errno));
  SetRegisters();
}

const UsercopySnapshot::Place* UsercopySnapshot::Find(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &found->second;
}
