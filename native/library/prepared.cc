#include "prepared.h"

#include <cstring>
#include <set>

#include "check_layout.h"
#include "failure.h"
#include "json_reader.h"
#include "native_check.h"
#include "sha256.h"
#include "unicorn_names.h"

namespace {

constexpr JsonDocument kDocument{"prepared file", "; prepare the file again"};
constexpr size_t kMostMemory = size_t{64} << 20;
constexpr size_t kMostSymbols = size_t{1} << 20;
constexpr size_t kMostSymbolBytes = size_t{64} << 20;
constexpr size_t kMostEntries = 64;
constexpr size_t kMostCompared = 256;
constexpr size_t kMostText = 4096;
constexpr size_t kMostName = 512;
constexpr size_t kMostFile = size_t{512} << 20;
// Guest structures are smaller.
constexpr uint64_t kMostOffset = 0xffffff;
constexpr uint32_t kMostCpus = 65536;
constexpr int64_t kMostFrameOffset = 1 << 16;
constexpr uint64_t kMostThreadSize = 1 << 20;
constexpr size_t kMostCode = 4096;

// {"usercopyHarness":N,"sha256":"…","attachment":…}: the digest is of the bytes of the attachment.
constexpr const char* kHead = "{\"usercopyHarness\":" USERCOPY_HARNESS_FORMAT ",\"sha256\":\"";
constexpr const char* kMiddle = "\",\"attachment\":";
constexpr size_t kDigest = 64;

struct Body {
  const char* start;
  const char* end;
};

Body BodyOf(const char* text) {
  const size_t size = strnlen(text, kMostFile);
  if (size == kMostFile) throw Failure("prepared file: expected at most 512 MiB");
  const size_t head = std::strlen(kHead);
  const size_t middle = std::strlen(kMiddle);
  if (size < head + kDigest + middle + 2 || std::memcmp(text, kHead, head) != 0 ||
      std::memcmp(text + head + kDigest, kMiddle, middle) != 0) {
    throw Failure("expected a file of `usercopy prepare` of this version, as it was written");
  }
  const Body body{text + head + kDigest + middle, text + size};
  const char* end = body.end;
  while (end > body.start && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' ')) --end;
  if (end == body.start || end[-1] != '}') throw Failure("prepared file: expected a } at its end, found it cut off");
  --end;
  const std::string digest(text + head, kDigest);
  if (Sha256(body.start, static_cast<size_t>(end - body.start)) != digest) {
    throw Failure("prepared file: expected its content to have the SHA-256 that it names, found another: it was damaged "
                  "or edited; prepare it again");
  }
  return {body.start, end};
}

JsonReader::Json Parse(const Body& body) {
  try {
    return JsonReader::Json::parse(body.start, body.end);
  } catch (const JsonReader::Json::parse_error& error) {
    throw Failure("prepared file: expected JSON, found an error at byte " + std::to_string(error.byte) +
                  " of the attachment");
  }
}

int NamedValue(const Name* table, const JsonReader& reader) {
  const std::string name = reader.Text(kMostName);
  for (const Name* row = table; row->label != nullptr; ++row) {
    if (name == row->label) return row->value;
  }
  reader.Refuse("a name as Unicorn spells it");
}

// ---- The check's memory: what it holds was written by TypeScript, or by somebody else.

class Area {
 public:
  Area(const Prepared& prepared, const JsonReader& place) : prepared_(prepared), place_(place) {}

  void CheckLook(uint32_t look) const {
    namespace l = layout;
    Expect(look % 8 == 0 && Holds(look, l::LookLayout_BYTES), "what looks need inside it");
    Expect(Holds(Load<uint32_t>(look + l::LookLayout_bits), l::Looks_OBJECTS / 8), "bits for objects inside it");
    const auto stride = Load<uint32_t>(look + l::LookLayout_nodeStride);
    const auto end = Load<uint32_t>(look + l::LookLayout_nodesEnd);
    Expect(end == 0 || (end <= kMostOffset && stride >= prepared_.bits / 8 && stride <= kMostOffset), "nodes in a kmem_cache");
    Expect(Load<uint32_t>(look + l::LookLayout_mostCpus) <= kMostCpus, "at most 65536 CPUs");
  }

  void Check() const {
    namespace l = layout;
    Expect(prepared_.context == l::ContextPlace_OFFSET &&
               Holds(prepared_.context, l::WindowPlace_OFFSET + l::Kind_COUNT * l::WindowLayout_BYTES),
           "a context inside it");
    Expect(Field<uint8_t>(l::ContextLayout_bigEndian) == (prepared_.big_endian ? 1 : 0), "the guest's byte order");
    Expect(Field<uint32_t>(l::ContextLayout_wordBytes) == prepared_.bits / 8, "the guest's word");
    const uint64_t mask = prepared_.bits == 64 ? UINT64_MAX : UINT32_MAX;
    Expect(Field<uint64_t>(l::ContextLayout_wordMask) == mask, "the guest's word");
    const auto shift = Field<uint32_t>(l::ContextLayout_pageShift);
    Expect(shift >= 10 && shift <= 24 && Field<uint64_t>(l::ContextLayout_pageSize) == uint64_t{1} << shift,
           "a page of 2^10 to 2^24 bytes");
    Expect(Field<uint8_t>(l::ContextLayout_hostReads) == 1 && Field<uint32_t>(l::ContextLayout_regionCount) == 0,
           "guest memory outside it");
    for (uint32_t kind = 0; kind < l::Kind_COUNT; ++kind) {
      const uint64_t window = prepared_.context + l::WindowPlace_OFFSET + kind * l::WindowLayout_BYTES;
      Expect(Load<uint64_t>(window + l::WindowLayout_room) == 0, "no mapped region");
    }
    Table(l::ContextLayout_declaredStacks, l::ContextLayout_declaredStackCount, l::DeclaredLayout_BYTES);
    Table(l::ContextLayout_declaredKmaps, l::ContextLayout_declaredKmapCount, l::DeclaredLayout_BYTES);
    Table(l::ContextLayout_declaredVmallocSpaces, l::ContextLayout_declaredVmallocSpaceCount, l::DeclaredLayout_BYTES);
    Table(l::ContextLayout_declaredVmallocAreas, l::ContextLayout_declaredVmallocAreaCount, l::DeclaredLayout_BYTES);
    Table(l::ContextLayout_declaredObjects, l::ContextLayout_declaredObjectCount, l::DeclaredLayout_BYTES);
    const auto shift_of_hints = Field<uint32_t>(l::ContextLayout_declaredHintShift);
    Expect(shift_of_hints > 0 && shift_of_hints < 32, "tables inside it");
    for (const uint32_t hints : {l::ContextLayout_declaredStackHints, l::ContextLayout_declaredKmapHints,
                                 l::ContextLayout_declaredVmallocSpaceHints, l::ContextLayout_declaredVmallocAreaHints,
                                 l::ContextLayout_declaredObjectHints}) {
      Expect(Holds(Field<uint32_t>(hints), 4 * (uint64_t{1} << (32 - shift_of_hints))), "tables inside it");
    }
    Table(l::ContextLayout_linearMaps, l::ContextLayout_linearMapCount, l::LinearMapLayout_BYTES);
    Table(l::ContextLayout_kmapRanges, l::ContextLayout_kmapRangeCount, l::RangeLayout_BYTES);
    Table(l::ContextLayout_functions, l::ContextLayout_functionCount, sizeof(uint32_t));
    Expect(Holds(Field<uint32_t>(l::ContextLayout_checkedRanges), l::CheckedRanges_COUNT * l::CheckedRangeLayout_BYTES),
           "tables inside it");
    Expect(Field<uint32_t>(l::ContextLayout_copyEntry) == 0, "no copy under way");
    for (uint32_t at = 0; at < l::Statistics_BYTES; at += 8) {
      Expect(Load<uint64_t>(prepared_.context + l::ContextLayout_BYTES + at) == 0, "no copy counted yet");
    }
  }

 private:
  bool Holds(uint64_t offset, uint64_t size) const {
    return offset <= prepared_.memory.size() && size <= prepared_.memory.size() - offset;
  }

  template <typename Value>
  Value Load(uint64_t offset) const {
    Value value;
    std::memcpy(&value, prepared_.memory.data() + offset, sizeof value);
    return value;
  }

  template <typename Value>
  Value Field(uint32_t field) const {
    return Load<Value>(uint64_t{prepared_.context} + field);
  }

  void Table(uint32_t start, uint32_t count, uint32_t bytes) const {
    const uint64_t entries = Field<uint32_t>(count);
    Expect(entries == 0 || Holds(Field<uint32_t>(start), entries * bytes), "tables inside it");
  }

  void Expect(bool holds, const char* what) const {
    if (!holds) place_.Refuse(std::string("memory of the check with ") + what);
  }

  const Prepared& prepared_;
  const JsonReader& place_;
};

void ReadMemory(Prepared& prepared, const JsonReader& memory) {
  const size_t bytes = memory.At("bytes").Number(kMostMemory);
  prepared.memory.assign(bytes, 0);
  for (const JsonReader& piece : memory.At("pieces").Items(kMostMemory / 64)) {
    const size_t offset = piece.At("offset").Number(bytes);
    const std::vector<uint8_t> content = piece.At("base64").Base64(kMostMemory);
    if (content.size() > bytes - offset) piece.Refuse("a piece inside the memory");
    if (!content.empty()) std::memcpy(prepared.memory.data() + offset, content.data(), content.size());
  }
  prepared.context = static_cast<uint32_t>(memory.At("context").Number(bytes));
  Area(prepared, memory).Check();
}

// ---- Entry points

uint8_t SizeBits(const JsonReader& reader) {
  const uint64_t bits = reader.Number(64);
  if (bits != 32 && bits != 64) reader.Refuse("32 or 64");
  return static_cast<uint8_t>(bits);
}

PreparedEntry ReadEntry(const JsonReader& described, unsigned bits) {
  static const uint8_t kinds[] = {layout::DirectionKind_TO_USER, layout::DirectionKind_FROM_USER,
                                  layout::DirectionKind_REGISTER, layout::DirectionKind_BY_ADDRESS};
  PreparedEntry entry;
  entry.symbol = described.At("symbol").Text(kMostName);
  entry.address = described.At("address").Address(bits);
  entry.is_judge = described.At("role").OneOf({"judge", "outer", "raw"}) == 0;
  entry.direction_kind = kinds[described.At("direction").OneOf({"to_user", "from_user", "register", "by address"})];
  entry.size_bits = SizeBits(described.At("sizeBits"));
  entry.body_start = described.At("body").At("start").Address(bits);
  entry.body_end = described.At("body").At("end").Address(bits);
  const JsonReader code = described.At("code");
  if (!code.IsNull()) entry.code = code.Base64(kMostCode);
  const std::vector<JsonReader> registers = described.At("registers").Items(entry.registers.size());
  for (size_t i = 0; i < registers.size(); ++i) entry.registers[i] = registers[i].TextOrNone(kMostName);
  if (registers.size() != entry.registers.size()) described.Refuse("an entry point with 8 registers");
  if (entry.registers[0].empty() || entry.registers[1].empty()) described.Refuse("registers of the pointer and the size");
  return entry;
}

void ReadEntries(Prepared& prepared, const JsonReader& attachment) {
  std::set<uint64_t> addresses;
  for (const JsonReader& described : attachment.At("entries").Items(kMostEntries)) {
    prepared.entries.push_back(ReadEntry(described, prepared.bits));
    if (!addresses.insert(prepared.entries.back().address).second) described.Refuse("an address of its own");
  }
  if (prepared.entries.empty()) attachment.At("entries").Refuse("one entry point at least");
  addresses.clear();
  for (const JsonReader& described : attachment.At("copying").Items(kMostEntries)) {
    PreparedCopying copying;
    copying.address = described.At("address").Address(prepared.bits);
    copying.kernel_pointer = described.At("kernelPointer").Text(kMostName);
    copying.user_pointer = described.At("userPointer").TextOrNone(kMostName);
    copying.size = described.At("size").Text(kMostName);
    copying.size_bits = SizeBits(described.At("sizeBits"));
    if (!addresses.insert(copying.address).second) described.Refuse("an address of its own");
    prepared.copying.push_back(copying);
  }
}

void ReadCalls(Prepared& prepared, const JsonReader& call) {
  prepared.pc = call.At("pc").Text(kMostName);
  prepared.sp = call.At("sp").Text(kMostName);
  prepared.fp = call.At("fp").Text(kMostName);
  prepared.link = call.At("link").TextOrNone(kMostName);
  for (const JsonReader& name : call.At("compared").Items(kMostCompared)) {
    prepared.compared.push_back(name.Text(kMostName));
  }
  prepared.return_value = call.At("returnValue").Text(kMostName);
  prepared.stack_bias = call.At("stackBias").Signed(kMostFrameOffset);
  prepared.return_offset = call.At("returnOffset").Signed(kMostFrameOffset);
  const JsonReader thread_size = call.At("threadSize");
  prepared.thread_size = thread_size.Number(kMostThreadSize);
  if (prepared.thread_size == 0 || (prepared.thread_size & (prepared.thread_size - 1)) != 0) {
    thread_size.Refuse("a power of two");
  }
  prepared.pushes_return_address = call.At("pushesReturnAddress").Flag();
}

void ReadFrames(Prepared& prepared, const JsonReader& reader) {
  if (reader.IsNull()) return;
  using Kind = PreparedFrames::Kind;
  static const Kind kinds[] = {Kind::kFramePointers, Kind::kBackChain, Kind::kRegisterWindows};
  PreparedFrames frames;
  frames.kind = kinds[reader.At("kind").OneOf({"frame pointers", "back chain", "register windows"})];
  frames.record_at_top = reader.At("recordAt").OneOf({"top", "bottom"}) == 0;
  frames.saved_frame = reader.At("savedFrame").Signed(kMostFrameOffset);
  frames.return_address = reader.At("returnAddress").Signed(kMostFrameOffset);
  frames.bias = reader.At("bias").Signed(kMostFrameOffset);
  frames.header = reader.At("header").Signed(kMostFrameOffset);
  frames.return_register = reader.At("returnRegister").TextOrNone(kMostName);
  prepared.frames = frames;
}

// ---- Words

// Below `end`; `what` is expected.
uint32_t NumberOf(const std::string& name, uint32_t end, const JsonReader& place, const char* what) {
  uint32_t number = 0;
  for (const char letter : name) {
    if (letter < '0' || letter > '9' || number >= end) place.Refuse(what);
    number = number * 10 + static_cast<uint32_t>(letter - '0');
  }
  if (name.empty() || number >= end) place.Refuse(what);
  return number;
}

void ReadVerdicts(Prepared& prepared, const JsonReader& reader) {
  for (const auto& [name, verdict] : reader.Members(layout::VerdictRange_COUNT)) {
    const JsonReader messages = verdict.At("messages");
    prepared.verdicts[NumberOf(name, layout::VerdictRange_COUNT, verdict, "a verdict's number")] = {
        verdict.At("by").Text(kMostName),
        {messages.At("from_user").TextOrNone(kMostText), messages.At("to_user").TextOrNone(kMostText)}};
  }
}

void ReadDeclaredCaches(Prepared& prepared, const JsonReader& reader) {
  for (const auto& [id, name] : reader.Members(1 << 20)) {
    if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos) {
      name.Refuse("a declaration's number as its name");
    }
    prepared.declared_caches[std::stoul(id)] = name.Text(kMostName);
  }
}

void ReadSanitizers(Prepared& prepared, const JsonReader& reader) {
  if (reader.IsNull()) return;
  PreparedSanitizers sanitizers;
  sanitizers.look = static_cast<uint32_t>(reader.At("look").Number(prepared.memory.size()));
  Area(prepared, reader).CheckLook(sanitizers.look);
  for (const auto& [number, words] : reader.At("unknown").Members(layout::Unknown_COUNT)) {
    sanitizers.unknown[NumberOf(number, layout::Unknown_COUNT, words, "a reason's number")] = words.Text(kMostName);
  }
  for (const JsonReader& note : reader.At("notes").Items(64)) sanitizers.notes.push_back(note.Text(kMostText));
  prepared.sanitizers = std::move(sanitizers);
}

void ReadCacheName(Prepared& prepared, const JsonReader& reader) {
  if (reader.IsNull()) return;
  prepared.cache_name_offset = static_cast<uint32_t>(reader.At("offset").Number(kMostOffset));
  prepared.cache_name_bytes = static_cast<uint32_t>(reader.At("size").Number(8));
  if (prepared.cache_name_bytes != prepared.bits / 8) reader.Refuse("a pointer of the guest");
}

// Distances from one to the next as a little-endian base-128 number: symbols are many.
uint64_t TakeNumber(const std::vector<uint8_t>& bytes, size_t& at, const JsonReader& place) {
  uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at >= bytes.size()) break;
    const uint8_t byte = bytes[at++];
    number |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return number;
  }
  place.Refuse("numbers of 7 bits a byte, two for each name");
}

void ReadSymbols(Prepared& prepared, const JsonReader& reader) {
  if (reader.IsNull()) return;
  PreparedSymbols& symbols = prepared.symbols;
  uint64_t address = reader.At("first").Address(prepared.bits);
  const JsonReader places = reader.At("places");
  const std::vector<uint8_t> numbers = places.Base64(kMostSymbolBytes);
  std::string names = reader.At("names").Text(kMostSymbolBytes);
  size_t at = 0;
  size_t start = 0;
  while (start < names.size()) {
    if (symbols.addresses.size() >= kMostSymbols) reader.Refuse("at most 1048576 symbols");
    const size_t end = std::min(names.find(' ', start), names.size());
    if (end == start) reader.Refuse("names with one blank between them");
    address += TakeNumber(numbers, at, places);
    const uint64_t size = TakeNumber(numbers, at, places);
    if (!symbols.addresses.empty() && address < symbols.addresses.back()) places.Refuse("addresses in order");
    symbols.addresses.push_back(address);
    symbols.sizes.push_back(size > UINT32_MAX ? 0 : static_cast<uint32_t>(size));
    symbols.starts.push_back(static_cast<uint32_t>(start));
    if (end < names.size()) names[end] = '\0';
    start = end + 1;
  }
  if (at != numbers.size()) places.Refuse("two numbers for each name");
  symbols.names = std::move(names);
}

}  // namespace

Prepared ReadPrepared(const char* text) {
  const Body body = BodyOf(text);
  const JsonReader::Json json = Parse(body);
  const JsonReader attachment(json, "attachment", kDocument);
  if (native_check_absence() != nullptr) throw Failure(native_check_absence());
  const JsonReader digest = attachment.At("digest");
  if (digest.Text(kDigest) != native_check_digest()) {
    throw Failure("expected a file prepared by the same build of usercopy: prepare it again");
  }
  Prepared prepared;
  prepared.variant = attachment.At("variant").Text(kMostName);
  prepared.arch = NamedValue(kArchitectures, attachment.At("unicorn").At("arch"));
  for (const JsonReader& mode : attachment.At("unicorn").At("mode").Items(8)) prepared.mode |= NamedValue(kModes, mode);
  prepared.judges_all = attachment.At("judge").OneOf({"kernel", "all"}) == 1;
  prepared.big_endian = attachment.At("endian").OneOf({"little", "big"}) == 1;
  prepared.bits = static_cast<unsigned>(SizeBits(attachment.At("bits")));
  ReadMemory(prepared, attachment.At("memory"));
  ReadCalls(prepared, attachment.At("call"));
  ReadEntries(prepared, attachment);
  ReadVerdicts(prepared, attachment.At("verdicts"));
  ReadDeclaredCaches(prepared, attachment.At("declaredCaches"));
  ReadSanitizers(prepared, attachment.At("sanitizers"));
  ReadCacheName(prepared, attachment.At("cacheName"));
  ReadFrames(prepared, attachment.At("frames"));
  const JsonReader range = attachment.At("text");
  if (!range.IsNull()) {
    prepared.text_start = range.At("start").Address(prepared.bits);
    prepared.text_end = range.At("end").Address(prepared.bits);
  }
  ReadSymbols(prepared, attachment.At("symbols"));
  for (const JsonReader& warning : attachment.At("warnings").Items(64)) prepared.warnings.push_back(warning.Text(kMostText));
  for (const JsonReader& note : attachment.At("notes").Items(64)) prepared.notes.push_back(note.Text(kMostText));
  return prepared;
}
