#include "guest.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "failure.h"

namespace {

constexpr size_t kMostNameBytes = 256;
constexpr size_t kMostFrames = 64;
constexpr size_t kMostStackBytes = 16384;
constexpr uint64_t kPage = 4096;

}  // namespace

std::string Hex(uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string Range(uint64_t start, uint64_t end) { return "[" + Hex(start) + ", " + Hex(end) + ")"; }

std::string Culprit(const std::vector<UsercopyFrame>& frames, const UsercopyFrame& caller) {
  const auto begins = [](const char* text, const char* start) { return std::strncmp(text, start, std::strlen(start)) == 0; };
  for (const UsercopyFrame& frame : frames) {
    if (frame.reliable == 0 || frame.symbol == nullptr) break;
    if (!begins(frame.symbol, "usercopy") && !begins(frame.symbol, "__check")) return frame.symbol;
  }
  return caller.symbol != nullptr ? caller.symbol : Hex(caller.address);
}

std::string PlaceName(const UsercopyFrame& frame) {
  return frame.symbol == nullptr ? Hex(frame.address) : std::string(frame.symbol) + "+" + Hex(frame.offset);
}

Guest::Guest(const Unicorn& unicorn, uc_engine* uc, const Prepared& prepared)
    : unicorn_(unicorn),
      uc_(uc),
      prepared_(prepared),
      registers_(unicorn, uc),
      mask_(prepared.bits == 64 ? UINT64_MAX : UINT32_MAX) {
  if (registers_.arch() != prepared.arch || registers_.mode() != MachineBits(prepared.arch, prepared.mode)) {
    throw Failure("expected an emulator of " + prepared.variant + ", which the file was prepared for, found one of another "
                  "architecture or mode");
  }
  pc_ = registers_.Find(prepared.pc, "attachment.call.pc");
  sp_ = registers_.Find(prepared.sp, "attachment.call.sp");
  fp_ = registers_.Find(prepared.fp, "attachment.call.fp");
  return_value_ = registers_.Find(prepared.return_value, "attachment.call.returnValue");
  if (!prepared.link.empty()) link_ = registers_.Find(prepared.link, "attachment.call.link");
  if (prepared.frames && !prepared.frames->return_register.empty()) {
    return_register_ = registers_.Find(prepared.frames->return_register, "attachment.frames.returnRegister");
  }
}

bool Guest::Read(uint64_t address, void* to, size_t size) const {
  return unicorn_.mem_read(uc_, address, to, size) == UC_ERR_OK;
}

std::optional<uint64_t> Guest::Word(uint64_t address) const {
  std::array<uint8_t, 8> bytes{};
  const size_t size = prepared_.bits / 8;
  if (!Read(address & mask_, bytes.data(), size)) return std::nullopt;
  uint64_t word = 0;
  for (size_t i = 0; i < size; ++i) word = word << 8 | bytes[prepared_.big_endian ? i : size - 1 - i];
  return word;
}

std::optional<std::string> Guest::CString(uint64_t address) const {
  std::string text;
  for (char letter = 0; text.size() < kMostNameBytes; text += letter) {
    if (!Read((address + text.size()) & mask_, &letter, 1)) return std::nullopt;
    if (letter == 0) break;
  }
  return text;
}

std::optional<std::string> Guest::CacheName(uint64_t cache, uint64_t* missing) const {
  if (prepared_.cache_name_bytes == 0) return std::nullopt;
  const uint64_t place = (cache + prepared_.cache_name_offset) & mask_;
  const std::optional<uint64_t> address = Word(place);
  if (!address) *missing = place;
  if (!address || *address == 0) return std::nullopt;
  std::optional<std::string> name = CString(*address);
  char letter = 0;
  // A name that goes on in a page that is not there.
  if (!name) *missing = Read(*address, &letter, 1) ? (*address | (kPage - 1)) + 1 : *address;
  return name;
}

std::optional<uint64_t> Guest::ReturnAddress() const {
  if (link_ >= 0) return registers_.Read(link_) & mask_;
  return Word(registers_.Read(sp_) + static_cast<uint64_t>(prepared_.stack_bias));
}

bool Guest::Return(std::optional<uint64_t> value) const {
  const std::optional<uint64_t> address = ReturnAddress();
  if (!address) return false;
  if (prepared_.pushes_return_address) {
    registers_.Write(sp_, (registers_.Read(sp_) + prepared_.bits / 8) & mask_);
  }
  if (value) registers_.Write(return_value_, *value);
  registers_.Write(pc_, (*address + static_cast<uint64_t>(prepared_.return_offset)) & mask_);
  return true;
}

uint64_t Guest::StackPointer() const {
  const uint64_t sp = registers_.Read(sp_) + static_cast<uint64_t>(prepared_.stack_bias);
  return (link_ >= 0 ? sp : sp + prepared_.bits / 8) & mask_;
}

UsercopyFrame Guest::FrameAt(uint64_t address, bool reliable) const {
  UsercopyFrame frame{address, nullptr, 0, 0, reliable ? 1 : 0, 0};
  const PreparedSymbols& symbols = prepared_.symbols;
  const auto after = std::upper_bound(symbols.addresses.begin(), symbols.addresses.end(), address);
  if (after == symbols.addresses.begin()) return frame;
  const auto index = static_cast<size_t>(after - symbols.addresses.begin() - 1);
  const uint64_t offset = address - symbols.addresses[index];
  if (offset != 0 && offset >= symbols.sizes[index]) return frame;
  frame.symbol = symbols.names.c_str() + symbols.starts[index];
  frame.offset = offset;
  frame.size = symbols.sizes[index];
  return frame;
}

std::optional<uint64_t> Guest::ReturnAddressIn(uint64_t record, uint64_t next, bool from_register) const {
  const PreparedFrames& layout = *prepared_.frames;
  if (from_register && return_register_ >= 0) return registers_.Read(return_register_);
  const uint64_t holder = layout.kind == PreparedFrames::Kind::kBackChain ? next : record;
  return Word(holder + static_cast<uint64_t>(layout.return_address));
}

std::vector<Guest::Linked> Guest::LinkedFrames() const {
  std::vector<Linked> frames;
  const std::optional<uint64_t> caller = ReturnAddress();
  if (!prepared_.frames || !caller) return frames;
  const PreparedFrames& layout = *prepared_.frames;
  const bool has_pointer = layout.kind == PreparedFrames::Kind::kFramePointers;
  const bool has_windows = layout.kind == PreparedFrames::Kind::kRegisterWindows;
  const int64_t bias = has_windows ? prepared_.stack_bias : layout.bias;
  uint64_t place = *caller;
  uint64_t start = StackPointer();
  uint64_t record = (registers_.Read(has_pointer ? fp_ : sp_) + static_cast<uint64_t>(bias)) & mask_;
  while (frames.size() < kMostFrames) {
    if (record < start || record % (prepared_.bits / 8) != 0) break;
    const bool from_register = frames.empty() && has_windows;
    const std::optional<uint64_t> link = from_register
                                             ? std::optional(registers_.Read(fp_))
                                             : Word(record + static_cast<uint64_t>(layout.saved_frame));
    if (!link) break;
    const uint64_t next = (*link + static_cast<uint64_t>(layout.bias)) & mask_;
    const uint64_t record_end = record + static_cast<uint64_t>(layout.header);
    const std::optional<uint64_t> end = layout.record_at_top ? std::optional(record_end)
                                        : next > record      ? std::optional(next)
                                                             : std::nullopt;
    frames.push_back({place, start, end, record, record_end});
    const std::optional<uint64_t> left = ReturnAddressIn(record, next, from_register);
    if (next <= record || !end || !left) break;
    place = *left;
    start = *end;
    record = next;
  }
  return frames;
}

std::vector<UsercopyFrame> Guest::Backtrace() const {
  std::vector<UsercopyFrame> frames;
  const std::optional<uint64_t> caller = ReturnAddress();
  if (caller && IsText(*caller)) frames.push_back(FrameAt(*caller, true));
  uint64_t scan_from = StackPointer();
  // The chain may lead to another stack: from an interrupt's to the task's.
  uint64_t on_stack = scan_from;
  bool is_outer = false;
  for (const Linked& linked : LinkedFrames()) {
    // The innermost one is where the call came from, chain or not.
    if (is_outer) {
      if (!IsText(linked.place)) break;
      frames.push_back(FrameAt(linked.place, true));
    }
    is_outer = true;
    scan_from = linked.record_end;
    on_stack = linked.record_start;
  }
  ScanStack(scan_from, StackEnd(on_stack), frames);
  return frames;
}

// Stacks are aligned to their size; at an end there is nothing above.
uint64_t Guest::StackEnd(uint64_t address) const {
  const uint64_t size = prepared_.thread_size;
  return address % size == 0 ? address : address - address % size + size;
}

void Guest::ScanStack(uint64_t from, uint64_t end, std::vector<UsercopyFrame>& frames) const {
  if (prepared_.text_end == 0) return;
  const size_t size = prepared_.bits / 8;
  std::array<uint8_t, kPage> page{};
  uint64_t address = from;
  for (size_t left = from < end ? std::min<uint64_t>(kMostStackBytes, end - from) : 0; left > 0;) {
    const size_t length = std::min<uint64_t>(left, kPage - address % kPage);
    if (!Read(address & mask_, page.data(), length)) return;
    for (size_t at = 0; at + size <= length; at += size) {
      uint64_t word = 0;
      for (size_t i = 0; i < size; ++i) word = word << 8 | page[at + (prepared_.big_endian ? i : size - 1 - i)];
      if (!IsText(word)) continue;
      if (frames.size() >= kMostFrames) return;
      frames.push_back(FrameAt(word, false));
    }
    address += length;
    left -= length;
  }
}

const char* Guest::BacktraceMethod() const {
  if (!prepared_.frames) return "stack scan";
  switch (prepared_.frames->kind) {
    case PreparedFrames::Kind::kFramePointers:
      return "frame pointers";
    case PreparedFrames::Kind::kBackChain:
      return "back chain";
    default:
      return "register windows";
  }
}

std::string Guest::DescribeStackAddress(uint64_t address) const {
  const uint64_t stack_pointer = StackPointer();
  if (address < stack_pointer) {
    return std::to_string(stack_pointer - address) + " bytes below the stack pointer: in no frame, or in one that is gone";
  }
  for (const Linked& frame : LinkedFrames()) {
    if (!frame.end) break;
    if (address >= *frame.end) continue;
    const std::string name = PlaceName(FrameAt(frame.place, true));
    if (address >= frame.record_start && address < frame.record_end) {
      return "in the frame of " + name + ", where it saves its registers";
    }
    return "in the frame of " + name + ", " + std::to_string(address - frame.start) + " bytes above its lower end";
  }
  return std::to_string(address - stack_pointer) + " bytes above the stack pointer, in a frame that is not known";
}
