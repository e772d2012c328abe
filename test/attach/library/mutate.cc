// Attaches with damaged copies of a prepared file and makes copies with those that are taken; it is to end well, whatever is
// in them. Usage: mutate FILE FIRST COUNT: mutations FIRST … FIRST + COUNT - 1, each the same at every run.
#include <check_layout.h>
#include <harness.h>
#include <unicorn/unicorn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "library/sha256.h"

namespace {

using Json = nlohmann::json;

constexpr uint64_t kCode = 0x100000, kBuffers = 0x200000, kUser = 0x300000, kStack = 0x400000, kPage = 0x1000;
constexpr uint64_t kBack = kCode + kPage - 16;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  uint64_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  size_t Below(size_t limit) { return static_cast<size_t>(Next() % limit); }

 private:
  uint64_t state_;
};

Json StrangeValue(Random& random) {
  static const char* const texts[] = {
      "",     "0x",     "0xffffffffffffffff", "0x1ffffffffffffffff", "ymm0", "zmm31", "st0", "msr", "gdtr", "idtr", "al", "rip",
      "judge", "outer", "by address",         "register",            "back chain", "register windows", "\x1b[31m", "{cache}%s%n",
      "{offset}{offset}{size}{pointer}{cache}", "X86", "ARM", "64", "BIG_ENDIAN", "all", "big"};
  switch (random.Below(12)) {
    case 0: return 0;
    case 1: return -1;
    case 2: return 4294967295u;
    case 3: return 4294967296;
    case 4: return UINT64_MAX;
    case 5: return INT64_MIN;
    case 6: return 1e300;
    case 7: return nullptr;
    case 8: return true;
    case 9: return Json::array({1, "x", nullptr});
    case 10: return std::string(random.Below(2) == 0 ? 5000 : 70000, 'A');
    default: return texts[random.Below(sizeof texts / sizeof *texts)];
  }
}

// Some value of the tree, each level as likely.
Json& SomeValue(Json& root, Random& random) {
  Json* at = &root;
  while (at->is_structured() && !at->empty() && (at == &root || random.Below(6) != 0)) {
    auto item = at->begin();
    std::advance(item, static_cast<long>(random.Below(at->size())));
    at = &*item;
  }
  return *at;
}

void Mutate(Json& root, Random& random) {
  Json& value = SomeValue(root, random);
  if (value.is_string() && !value.get_ref<std::string&>().empty() && random.Below(2) == 0) {
    // Base64 above all: bytes of the check's memory, places of symbols.
    std::string& text = value.get_ref<std::string&>();
    for (size_t count = 1 + random.Below(8); count > 0; --count) {
      text[random.Below(text.size())] = "AB/+9z0x=f"[random.Below(10)];
    }
  } else if (value.is_number_unsigned() && random.Below(2) == 0) {
    value = value.get<uint64_t>() + (random.Next() >> random.Below(64)) * (random.Below(2) == 0 ? 1 : UINT64_MAX);
  } else if (value.is_structured() && !value.empty() && random.Below(2) == 0) {
    auto item = value.begin();
    std::advance(item, static_cast<long>(random.Below(value.size())));
    if (random.Below(2) == 0) value.erase(item);
    else if (value.is_array()) value.insert(value.end(), random.Below(200), Json(*item));
    else *item = Json(value);
  } else {
    value = StrangeValue(random);
  }
}

std::string FileOf(const std::string& attachment) {
  return "{\"usercopyHarness\":" USERCOPY_HARNESS_FORMAT ",\"sha256\":\"" +
         Sha256(attachment.data(), attachment.size()) + "\",\"attachment\":" + attachment + "}\n";
}

std::string Text(const Json& root, uint64_t number, Random& random) {
  Json mutated = root;
  for (size_t count = 1 + random.Below(3); count > 0; --count) Mutate(mutated, random);
  std::string attachment = mutated.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (number % 4 == 0) {
    for (size_t count = 1 + random.Below(4); count > 0; --count) {
      attachment[random.Below(attachment.size())] = static_cast<char>(1 + random.Below(255));
    }
  }
  std::string text = FileOf(attachment);
  // The digest as well, and the frame around it.
  if (number % 16 == 1) text[random.Below(120)] = static_cast<char>(1 + random.Below(255));
  if (number % 16 == 2) text.resize(random.Below(text.size()));
  return text;
}

size_t bytes_seen;

int32_t OnViolation(const UsercopyViolation* violation) {
  for (const char* text : {violation->message, violation->region, violation->cache, violation->entry, violation->caller,
                           violation->title, violation->explanation, violation->backtrace_method}) {
    if (text != nullptr) bytes_seen += std::string(text).size();
  }
  for (uint32_t i = 0; i < violation->backtrace_count; ++i) {
    if (violation->backtrace[i].symbol != nullptr) bytes_seen += std::string(violation->backtrace[i].symbol).size();
  }
  return static_cast<int32_t>(violation->size % 3);
}

void Copy(uc_engine* uc, uint64_t size) {
  const uint64_t from = kBuffers + 64, sp = kStack + kPage - 64;
  uc_reg_write(uc, UC_X86_REG_RDI, &kUser);
  uc_reg_write(uc, UC_X86_REG_RSI, &from);
  uc_reg_write(uc, UC_X86_REG_RDX, &size);
  uc_reg_write(uc, UC_X86_REG_RSP, &sp);
  uc_mem_write(uc, sp, &kBack, sizeof kBack);
  uc_emu_start(uc, kCode, kBack, 0, 200);
}

uint64_t current;

}  // namespace

extern "C" void __asan_on_error() { std::fprintf(stderr, "mutation %llu\n", static_cast<unsigned long long>(current)); }

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::ifstream file(argv[1]);
  std::stringstream content;
  content << file.rdbuf();
  const Json root = Json::parse(content.str()).at("attachment");
  const uint64_t first = std::strtoull(argv[2], nullptr, 0);
  const uint64_t count = std::strtoull(argv[3], nullptr, 0);
  uint64_t taken = 0;
  uc_engine* uc = nullptr;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK) return 2;
  for (const uint64_t address : {kCode, kBuffers, kUser, kStack}) uc_mem_map(uc, address, kPage, UC_PROT_ALL);
  const uint8_t copy_to_user[] = {0x48, 0x89, 0xd1, 0xf3, 0xa4, 0x31, 0xc0, 0xc3};
  uc_mem_write(uc, kCode, copy_to_user, sizeof copy_to_user);
  for (current = first; current < first + count; ++current) {
    Random random(current + 1);
    const std::string text = Text(root, current, random);
    UsercopyAttachment* const attachment = usercopy_attach(uc, text.c_str(), OnViolation);
    if (attachment == nullptr) {
      const std::string error = usercopy_error();
      if (error.empty() || error.find('\n') != std::string::npos || error.size() > 1000) {
        std::printf("mutation %llu: refused with no sentence: %s\n", static_cast<unsigned long long>(current), error.c_str());
        return 1;
      }
      continue;
    }
    ++taken;
    for (const uint64_t size : {64, 65, 66, 67}) Copy(uc, size);
    for (int32_t tally = -1; tally < 6; ++tally) {
      const char* name = nullptr;
      uint64_t times = 0;
      usercopy_tally(attachment, tally, 0, &name, &times);
    }
    bytes_seen += std::string(usercopy_notes(attachment)).size();
    usercopy_detach(attachment);
  }
  uc_close(uc);
  std::printf("%llu mutations, %llu attached\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(taken));
  return 0;
}
