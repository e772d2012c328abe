// libusercopy: an attachment made of what `usercopy prepare` has worked out, for harnesses outside Node.
#include "harness.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "native_check.h"
#include "unicorn_names.h"

namespace {

using Json = nlohmann::json;

constexpr unsigned kFormat = 1;
constexpr size_t kMostRegisters = 16;
constexpr size_t kMostMemory = size_t{64} << 20;
constexpr size_t kMostNameBytes = 256;

thread_local std::string last_error;

class Failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Addresses are "0x…" strings: JSON's numbers end at 2^53.
uint64_t Word(const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  const std::string text = value.get<std::string>();
  size_t used = 0;
  const uint64_t word = std::stoull(text, &used, 0);
  if (used != text.size()) throw Failure("expected a number, found \"" + text.substr(0, 40) + "\"");
  return word;
}

int RegisterId(uc_arch arch, const std::string& name) {
  for (const ArchNames* row = kArchNames; row->registers != nullptr; ++row) {
    if (row->arch != arch) continue;
    for (const Name* known = row->registers; known->label != nullptr; ++known) {
      if (name == known->label) return known->value;
    }
  }
  throw Failure("expected a register of the emulator's architecture, found " + name.substr(0, 40));
}

std::vector<uint8_t> FromBase64(const std::string& text) {
  const auto value = [](char letter) -> int {
    if (letter >= 'A' && letter <= 'Z') return letter - 'A';
    if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9') return letter - '0' + 52;
    return letter == '+' ? 62 : letter == '/' ? 63 : -1;
  };
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char letter : text) {
    if (letter == '=') break;
    const int six = value(letter);
    if (six < 0) throw Failure("memory: expected base64");
    bits = bits << 6 | static_cast<uint32_t>(six);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<uint8_t>(bits >> count));
  }
  return bytes;
}

// A verdict's name, and the kernel's line for both directions with {cache}, {offset}, {size} and {pointer} left open.
struct Wording {
  std::string outcome;
  std::string region;
  // from_user, to_user; empty where the kernel prints none.
  std::array<std::string, 2> lines;
};

// Places in a request, in bytes.
struct Fields {
  uint32_t code, to_user, described, pointer, offset, size, printed_size, object_start, object_end, cache;
};

void Replace(std::string& text, const char* what, const std::string& by) {
  const size_t at = text.find(what);
  if (at != std::string::npos) text.replace(at, std::strlen(what), by);
}

}  // namespace

struct Entry {
  UsercopyAttachment* attachment = nullptr;
  std::string symbol;
  uint64_t address = 0;
  uint32_t request = 0;
  std::vector<int> ids;
  std::vector<void*> values;
  uc_hook hook = 0;
};

struct UsercopyAttachment {
  uc_engine* uc = nullptr;
  UsercopyCallback callback = nullptr;
  void* user_data = nullptr;
  NativeCheck* check = nullptr;
  std::vector<uint8_t> memory;
  uint32_t context = 0;
  uint32_t statistics = 0;
  uint32_t request_fields_end = 0;
  bool outermost = false;
  bool big_endian = false;
  int pointer_digits = 16;
  int pc = 0;
  Fields fields{};
  std::unordered_map<uint32_t, Wording> wordings;
  // What `described` says of the object: none; a cache; an object with one; a declaration.
  uint32_t nothing = 0, cache_only = 0, slab_object = 0, declared_object = 0;
  std::unordered_map<uint64_t, std::string> declared_caches;
  // The pointer in a kmem_cache that leads to its name.
  uint32_t name_offset = 0, name_bytes = 0;
  std::vector<std::unique_ptr<Entry>> entries;
  // The emulation is about to be stopped here: see OnEntry().
  const Entry* settling_at = nullptr;
  // The arrival that was stopped last: going on does not judge it again.
  const Entry* stopped_at = nullptr;
  std::vector<uint8_t> stopped_request;

  ~UsercopyAttachment() {
    for (const auto& entry : entries) {
      if (entry->hook != 0) uc_hook_del(uc, entry->hook);
    }
    if (check != nullptr) native_check_close(check);
  }

  template <typename Value>
  Value Load(uint32_t offset) const {
    Value value;
    std::memcpy(&value, memory.data() + offset, sizeof value);
    return value;
  }

  std::string CacheName(uint64_t cache) const {
    if (name_bytes == 0) return "";
    std::array<uint8_t, 8> pointer{};
    if (uc_mem_read(uc, cache + name_offset, pointer.data(), name_bytes) != UC_ERR_OK) return "";
    uint64_t address = 0;
    for (uint32_t i = 0; i < name_bytes; ++i) {
      address = address << 8 | pointer[big_endian ? i : name_bytes - 1 - i];
    }
    std::string name;
    for (char letter = 0; name.size() < kMostNameBytes; name += letter) {
      if (uc_mem_read(uc, address + name.size(), &letter, 1) != UC_ERR_OK || letter == 0) break;
    }
    return name;
  }

  int32_t Report(const Entry& entry, uint32_t code) {
    const auto found = wordings.find(code);
    // A copy that passed with a warning.
    if (found == wordings.end() || found->second.outcome == "good") return USERCOPY_CONTINUE;
    const Wording& wording = found->second;
    const uint32_t at = entry.request;
    const auto described = Load<uint8_t>(at + fields.described);
    const auto cache_word = Load<uint64_t>(at + fields.cache);
    std::string cache;
    if (described == slab_object || described == cache_only) cache = CacheName(cache_word);
    if (described == declared_object) {
      const auto declared = declared_caches.find(cache_word);
      if (declared != declared_caches.end()) cache = declared->second;
    }
    UsercopyViolation violation{};
    violation.attachment = this;
    violation.user_data = user_data;
    violation.region = wording.region.c_str();
    violation.cache = cache.empty() ? nullptr : cache.c_str();
    violation.entry = entry.symbol.c_str();
    violation.entry_address = entry.address;
    violation.pointer = Load<uint64_t>(at + fields.pointer);
    violation.size = Load<uint64_t>(at + fields.size);
    violation.to_user = Load<uint8_t>(at + fields.to_user);
    violation.has_object = described != nothing && described != cache_only;
    if (violation.has_object) {
      violation.object_start = Load<uint64_t>(at + fields.object_start);
      violation.object_end = Load<uint64_t>(at + fields.object_end);
    }
    const auto offset = Load<uint64_t>(at + fields.offset);
    if (wording.outcome == "unreadable") violation.missing = offset;
    std::string message = wording.lines[violation.to_user != 0 ? 1 : 0];
    if (!message.empty()) {
      // %p before it was hashed: all digits, no 0x; NULL as a word of the same width.
      char pointer[24];
      if (violation.pointer == 0) {
        std::snprintf(pointer, sizeof pointer, "%*s", pointer_digits, "(null)");
      } else {
        std::snprintf(pointer, sizeof pointer, "%0*llx", pointer_digits,
                      static_cast<unsigned long long>(violation.pointer));
      }
      if (cache.empty()) Replace(message, " '{cache}'", "");
      Replace(message, "{offset}", std::to_string(offset));
      Replace(message, "{size}", std::to_string(Load<uint64_t>(at + fields.printed_size)));
      Replace(message, "{bytes}", std::to_string(violation.size));
      Replace(message, "{pointer}", pointer);
      Replace(message, "{cache}", cache.empty() ? "unknown" : cache);
      violation.message = message.c_str();
    }
    return callback(&violation);
  }
};

namespace {

NativeRead ReadGuest(void* uc, uint64_t address, uint32_t length, uint8_t* to) {
  return uc_mem_read(static_cast<uc_engine*>(uc), address, to, length) == UC_ERR_OK ? NATIVE_READ_DONE
                                                                                    : NATIVE_READ_MISSING;
}

void OnEntry(uc_engine* uc, uint64_t address, uint32_t, void* data) {
  Entry& entry = *static_cast<Entry*>(data);
  UsercopyAttachment& attachment = *entry.attachment;
  if (attachment.settling_at == &entry) {
    attachment.settling_at = nullptr;
    uc_emu_stop(uc);
    return;
  }
  for (void* value : entry.values) std::memset(value, 0, 8);  // registers of 32 bits are stored as 4 bytes
  uc_reg_read_batch(uc, entry.ids.data(), entry.values.data(), static_cast<int>(entry.ids.size()));
  const uint8_t* request = attachment.memory.data() + entry.request;
  if (attachment.stopped_at == &entry) {
    attachment.stopped_at = nullptr;
    if (std::memcmp(attachment.stopped_request.data(), request, attachment.request_fields_end) == 0) return;
  }
  const uint32_t code =
      attachment.outermost ? native_check_judge_outermost(attachment.check, attachment.context, entry.request)
                           : native_check_judge(attachment.check, attachment.context, entry.request);
  if (code == 0) return;
  int32_t decision = USERCOPY_STOP;
  if (code == NATIVE_CHECK_TRAPPED) {
    last_error = std::string("the check was given up: ") + native_check_trap(attachment.check);
  } else {
    std::vector<uint8_t> judged(request, request + attachment.request_fields_end);
    decision = attachment.Report(entry, code);
    if (decision == USERCOPY_STOP) {
      attachment.stopped_at = &entry;
      attachment.stopped_request = std::move(judged);
    }
  }
  if (decision == USERCOPY_CONTINUE) return;
  // 2.0.1: a stop at the start of a block leaves the pc of an earlier one. Writing the pc enters the block once more, with
  // the pc right; it is stopped there.
  attachment.settling_at = &entry;
  uc_reg_write(uc, attachment.pc, &address);
}

void ReadLayout(UsercopyAttachment& attachment, const Json& layout) {
  const auto at = [&](const char* name) { return layout.at("request").at(name).get<uint32_t>(); };
  attachment.context = layout.at("context").get<uint32_t>();
  attachment.statistics = layout.at("statistics").get<uint32_t>();
  attachment.request_fields_end = layout.at("requestFieldsEnd").get<uint32_t>();
  attachment.fields = {at("code"),   at("toUser"),      at("described"),   at("judgedPointer"), at("offset"),
                       at("size"),   at("printedSize"), at("objectStart"), at("objectEnd"),     at("cache")};
  const auto described = [&](const char* name) { return layout.at("described").at(name).get<uint32_t>(); };
  attachment.nothing = described("NOTHING");
  attachment.cache_only = described("CACHE");
  attachment.slab_object = described("SLAB_OBJECT");
  attachment.declared_object = described("DECLARED_OBJECT");
}

void ReadMemory(UsercopyAttachment& attachment, const Json& memory) {
  const auto bytes = memory.at("bytes").get<size_t>();
  if (bytes > kMostMemory) throw Failure("memory: expected at most 64 MiB, found " + std::to_string(bytes));
  attachment.memory.assign(bytes, 0);
  for (const Json& piece : memory.at("pieces")) {
    const auto offset = piece.at("offset").get<size_t>();
    const std::vector<uint8_t> content = FromBase64(piece.at("base64").get<std::string>());
    if (offset > bytes || content.size() > bytes - offset) throw Failure("memory: expected pieces inside it");
    std::copy(content.begin(), content.end(), attachment.memory.begin() + static_cast<std::ptrdiff_t>(offset));
  }
}

void ReadWordings(UsercopyAttachment& attachment, const Json& verdicts) {
  for (const auto& [code, verdict] : verdicts.items()) {
    const auto line = [&](const char* direction) {
      const Json& text = verdict.at("messages").at(direction);
      return text.is_null() ? std::string() : text.get<std::string>();
    };
    attachment.wordings[static_cast<uint32_t>(std::stoul(code))] = {
        verdict.at("outcome").get<std::string>(), verdict.at("by").get<std::string>(), {line("from_user"), line("to_user")}};
  }
}

void HookEntry(UsercopyAttachment& attachment, uc_arch arch, const Json& described) {
  auto entry = std::make_unique<Entry>();
  entry->attachment = &attachment;
  entry->symbol = described.at("symbol").get<std::string>();
  entry->address = Word(described.at("address"));
  entry->request = described.at("request").get<uint32_t>();
  const Json& registers = described.at("registers");
  if (registers.size() > kMostRegisters) throw Failure("registers: expected at most 16");
  for (size_t slot = 0; slot < registers.size(); ++slot) {
    if (registers[slot].is_null()) continue;
    const size_t place = entry->request + 8 * slot;
    if (place + 8 > attachment.memory.size()) throw Failure("request: expected one inside the memory");
    entry->ids.push_back(RegisterId(arch, registers[slot].get<std::string>()));
    entry->values.push_back(attachment.memory.data() + place);
  }
  const uc_err added = uc_hook_add(attachment.uc, &entry->hook, UC_HOOK_CODE, reinterpret_cast<void*>(OnEntry),
                                   entry.get(), entry->address, entry->address);
  if (added != UC_ERR_OK) throw Failure("uc_hook_add: " + std::string(uc_strerror(added)));
  attachment.entries.push_back(std::move(entry));
}

std::unique_ptr<UsercopyAttachment> Attach(uc_engine* uc, const Json& scenario, UsercopyCallback callback) {
  if (scenario.at("usercopyHarness").get<unsigned>() != kFormat) {
    throw Failure("expected a file of `usercopy prepare` of this version");
  }
  if (native_check_absence() != nullptr) throw Failure(native_check_absence());
  if (scenario.at("digest").get<std::string>() != native_check_digest()) {
    throw Failure("expected a file prepared by the same build of usercopy: prepare it again");
  }
  size_t arch = 0;
  if (uc_query(uc, UC_QUERY_ARCH, &arch) != UC_ERR_OK) throw Failure("uc_query: expected an open emulator");
  auto attachment = std::make_unique<UsercopyAttachment>();
  attachment->uc = uc;
  attachment->callback = callback;
  attachment->outermost = scenario.at("judge").get<std::string>() == "all";
  attachment->big_endian = scenario.at("endian").get<std::string>() == "big";
  attachment->pointer_digits = scenario.at("bits").get<unsigned>() == 32 ? 8 : 16;
  attachment->pc = RegisterId(static_cast<uc_arch>(arch), scenario.at("pc").get<std::string>());
  ReadLayout(*attachment, scenario.at("layout"));
  ReadMemory(*attachment, scenario.at("memory"));
  ReadWordings(*attachment, scenario.at("verdicts"));
  for (const auto& [id, name] : scenario.at("declaredCaches").items()) {
    attachment->declared_caches[std::stoull(id)] = name.get<std::string>();
  }
  if (!scenario.at("cacheName").is_null()) {
    attachment->name_offset = scenario["cacheName"].at("offset").get<uint32_t>();
    attachment->name_bytes = scenario["cacheName"].at("size").get<uint32_t>();
    if (attachment->name_bytes > 8) throw Failure("cacheName: expected a pointer");
  }
  attachment->check = native_check_open(ReadGuest, uc);
  if (attachment->check == nullptr) throw Failure("the check could not be set up: no memory");
  native_check_set_memory(attachment->check, attachment->memory.data(), static_cast<uint32_t>(attachment->memory.size()));
  for (const Json& entry : scenario.at("entries")) HookEntry(*attachment, static_cast<uc_arch>(arch), entry);
  if (attachment->entries.empty()) throw Failure("entries: expected one at least");
  return attachment;
}

}  // namespace

UsercopyAttachment* usercopy_attach(uc_engine* uc, const char* scenario_json, UsercopyCallback callback) {
  last_error.clear();
  try {
    if (uc == nullptr || scenario_json == nullptr || callback == nullptr) {
      throw Failure("expected an emulator, a scenario and a callback");
    }
    return Attach(uc, Json::parse(scenario_json), callback).release();
  } catch (const std::exception& error) {
    last_error = std::string("usercopy_attach: ") + error.what();
    return nullptr;
  }
}

void usercopy_detach(UsercopyAttachment* attachment) { delete attachment; }

void usercopy_set_user_data(UsercopyAttachment* attachment, void* data) { attachment->user_data = data; }

UsercopyStatistics usercopy_statistics(const UsercopyAttachment* attachment) {
  UsercopyStatistics sums{};
  for (const auto& [code, wording] : attachment->wordings) {
    for (uint32_t direction = 0; direction < 2; ++direction) {
      const auto count = attachment->Load<uint64_t>(attachment->statistics + (2 * code + direction) * 8);
      sums.checks += count;
      (wording.outcome == "good" ? sums.good : wording.outcome == "bad" ? sums.bad : sums.unreadable) += count;
    }
  }
  return sums;
}

const char* usercopy_error(void) { return last_error.c_str(); }
