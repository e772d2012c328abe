#include <algorithm>
#include <climits>

#include "memory.h"

namespace {

constexpr uint64_t kPage = 4096;

uint32_t ReadPermissions(const Napi::Value& value) {
  const std::string text = ReadString(value, "permissions");
  uint32_t permissions = UC_PROT_NONE;
  for (const char letter : text) {
    switch (letter) {
      case 'r': permissions |= UC_PROT_READ; break;
      case 'w': permissions |= UC_PROT_WRITE; break;
      case 'x': permissions |= UC_PROT_EXEC; break;
      case '-': break;
      default:
        throw MakeError(value.Env(), ErrorKind::BadInput,
                        "permissions: expected letters of \"rwx\", found \"" + text.substr(0, 16) + "\"");
    }
  }
  return permissions;
}

std::string Span(uint64_t address, uint64_t size) { return "(" + Hex(address) + ", " + Hex(size) + ")"; }

// A range of pages that does not wrap.
void CheckPages(Napi::Env env, uc_engine* uc, const char* call, uint64_t address, uint64_t size) {
  size_t page = kPage;
  libunicorn.query(uc, UC_QUERY_PAGE_SIZE, &page);
  if (page < kPage) page = kPage;  // ARM answers 1024
  if (size != 0 && address % page == 0 && size % page == 0 && address + (size - 1) >= address) return;
  throw MakeError(env, ErrorKind::BadInput,
                  std::string(call) + Span(address, size) +
                      ": expected an address and a size that are multiples of " + std::to_string(page) +
                      " and end within 64 bits");
}

class RegionList {
 public:
  RegionList(Napi::Env env, uc_engine* uc) { Check(env, "uc_mem_regions", libunicorn.mem_regions(uc, &regions_, &count_)); }
  ~RegionList() { libunicorn.free(regions_); }
  RegionList(const RegionList&) = delete;
  RegionList& operator=(const RegionList&) = delete;
  uc_mem_region* begin() { return regions_; }
  uc_mem_region* end() { return regions_ + count_; }
  void Sort() {
    std::sort(begin(), end(), [](const uc_mem_region& a, const uc_mem_region& b) { return a.begin < b.begin; });
  }

 private:
  uc_mem_region* regions_ = nullptr;
  uint32_t count_ = 0;
};

}  // namespace

Napi::Value GuestMemory::Map(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  const uint64_t size = ReadAddress(info[1], "size");
  const uint32_t permissions = ReadPermissions(info[2]);
  CheckPages(env, uc, "map", address, size);
  Check(env, "uc_mem_map" + Span(address, size), libunicorn.mem_map(uc, address, size, permissions));
  return env.Undefined();
}

Napi::Value GuestMemory::MapShared(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  SharedRegion region;
  region.address = ReadAddress(info[0], "address");
  region.size = ReadAddress(info[1], "size");
  const uint32_t permissions = ReadPermissions(info[2]);
  region.offset = ReadIndex(info[4], "offset");
  CheckPages(env, uc, "mapShared", region.address, region.size);
  region.memory = LinearMemory(anchor_, info[3]);
  size_t length = 0;
  uint8_t* bytes = region.memory.Find(&length);
  if (bytes == nullptr) {
    throw MakeError(env, ErrorKind::BadInput,
                    "mapShared: expected a WebAssembly.Memory that is not shared between threads");
  }
  if (region.offset > length || region.size > length - region.offset) {
    throw MakeError(env, ErrorKind::BadInput,
                    "mapShared: expected " + Hex(region.size) + " bytes at offset " + Hex(region.offset) +
                        " of the memory, which has " + Hex(length));
  }
  region.pointer = bytes + region.offset;
  Check(env, "uc_mem_map_ptr" + Span(region.address, region.size),
        libunicorn.mem_map_ptr(uc, region.address, region.size, permissions, region.pointer));
  shared_.push_back(std::move(region));
  return env.Undefined();
}

// A WebAssembly.Memory that grows keeps its place on 64-bit hosts; were it ever moved, the emulator would write into
// freed memory.
void GuestMemory::VerifyShared(Napi::Env env) {
  for (SharedRegion& region : shared_) {
    size_t length = 0;
    const uint8_t* bytes = region.memory.Find(&length);
    if (bytes != nullptr && bytes + region.offset == region.pointer) continue;
    throw MakeError(env, ErrorKind::Engine,
                    "the WebAssembly.Memory mapped at " + Hex(region.address) +
                        " has moved while growing: give it its full size from the start");
  }
}

Napi::Value GuestMemory::Unmap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  const uint64_t size = ReadAddress(info[1], "size");
  CheckPages(env, uc, "unmap", address, size);
  code_.Drop(address, size);
  Check(env, "uc_mem_unmap" + Span(address, size), libunicorn.mem_unmap(uc, address, size));
  code_.Forget(address, size);
  RegionList regions(env, uc);
  for (size_t i = shared_.size(); i-- > 0;) {
    const SharedRegion& region = shared_[i];
    const bool used = std::any_of(regions.begin(), regions.end(), [&](const uc_mem_region& other) {
      return other.begin <= region.address + (region.size - 1) && other.end >= region.address;
    });
    if (!used) shared_.erase(shared_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return env.Undefined();
}

Napi::Value GuestMemory::Regions(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  RegionList regions(env, emulator_.Live(env));
  regions.Sort();
  Napi::Array list = Napi::Array::New(env);
  uint32_t index = 0;
  for (const uc_mem_region& region : regions) {
    std::string permissions;
    if (region.perms & UC_PROT_READ) permissions += 'r';
    if (region.perms & UC_PROT_WRITE) permissions += 'w';
    if (region.perms & UC_PROT_EXEC) permissions += 'x';
    Napi::Object item = Napi::Object::New(env);
    item.Set("start", Napi::BigInt::New(env, static_cast<uint64_t>(region.begin)));
    // 2^64 for a region at the very top: it does not fit in 64 bits.
    const uint64_t words[] = {region.end + 1, 1};
    item.Set("end", Napi::BigInt::New(env, 0, region.end == UINT64_MAX ? 2 : 1, words));
    item.Set("permissions", Napi::String::New(env, permissions));
    list.Set(index++, item);
  }
  return list;
}

bool GuestMemory::IsMapped(Napi::Env env, uint64_t address, uint64_t length) {
  RegionList regions(env, emulator_.uc());
  regions.Sort();
  uint64_t next = address;
  const uint64_t last = address + (length - 1);
  for (const uc_mem_region& region : regions) {
    if (region.begin > next || region.end < next) continue;
    if (region.end >= last) return true;
    next = region.end + 1;
  }
  return false;
}

bool GuestMemory::ReadBytes(uint64_t address, uint32_t length, uint8_t* to) {
  return !emulator_.closed() && libunicorn.mem_read(emulator_.uc(), address, to, length) == UC_ERR_OK;
}

Napi::Value GuestMemory::Read(const Napi::CallbackInfo& info) {
  constexpr uint32_t kSmall = 1 << 16;
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  const uint32_t length = ReadIndex(info[1], "length");
  // Memory is only set aside for what is there.
  if (length > INT_MAX || (length > kSmall && !IsMapped(env, address, length))) {
    ThrowUnicorn(env, "uc_mem_read" + Span(address, length), length > INT_MAX ? UC_ERR_ARG : UC_ERR_READ_UNMAPPED);
  }
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, length);
  if (length != 0) Check(env, "uc_mem_read" + Span(address, length), libunicorn.mem_read(uc, address, bytes.Data(), length));
  return bytes;
}

Napi::Value GuestMemory::Write(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uc_engine* uc = emulator_.Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw MakeError(env, ErrorKind::BadInput, "write: expected the bytes as a Uint8Array");
  }
  const Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  const size_t length = bytes.ByteLength();
  if (length == 0) return env.Undefined();
  Check(env, "uc_mem_write" + Span(address, length), libunicorn.mem_write(uc, address, bytes.Data(), length));
  code_.Drop(address, length);
  return env.Undefined();
}

Napi::Value GuestMemory::DropCode(const Napi::CallbackInfo& info) {
  emulator_.Live(info.Env());
  code_.Drop(ReadAddress(info[0], "address"), ReadIndex(info[1], "length"));
  return info.Env().Undefined();
}
