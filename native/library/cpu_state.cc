#include "cpu_state.h"

#include <cstring>
#include <string>

#include "failure.h"

namespace {

// Of each architecture one that a write changes and nothing else follows from.
constexpr const char* kGeneral[] = {"ebx", "x5", "r5", "5", "g1", "a1", "d1"};
constexpr uint64_t kMark = 0x10;
// Of powerpc's.
constexpr size_t kLeastState = size_t{1} << 10;
constexpr size_t kMostState = size_t{1} << 20;

void Expect(const Unicorn& unicorn, uc_err answer, const char* what) {
  if (answer != UC_ERR_OK) throw Failure(std::string(what) + ": " + unicorn.strerror(answer));
}

}  // namespace

CpuState::~CpuState() {
  if (context_ != nullptr) unicorn_.context_free(context_);
}

void CpuState::Save() {
  if (context_ == nullptr) Expect(unicorn_, unicorn_.context_alloc(uc_, &context_), "uc_context_alloc");
  Expect(unicorn_, unicorn_.context_save(uc_, context_), "uc_context_save");
  if (!holds_registers_) holds_registers_ = HoldsRegisters();
  values_.clear();
  if (!*holds_registers_) values_ = registers_.All();
}

// Tried with the context that was just saved: SPARC's is empty in 2.0.1.
bool CpuState::HoldsRegisters() const {
  for (const char* name : kGeneral) {
    const int id = registers_.Look(name);
    if (id < 0) continue;
    const uint64_t value = registers_.Read(id);
    registers_.Write(id, value ^ kMark);
    if (registers_.Read(id) == value) continue;
    Expect(unicorn_, unicorn_.context_restore(uc_, context_), "uc_context_restore");
    if (registers_.Read(id) == value) return true;
    registers_.Write(id, value);
    return false;
  }
  throw Failure("snapshot: expected a general register that can be written, found none");
}

// How libunicorn lays a context out is its own affair. In 2.0 and 2.1 the first word is the size of the state.
size_t CpuState::StateSize() const {
  size_t size = 0;
  std::memcpy(&size, context_, sizeof size);
  if (size < kLeastState || size > kMostState) {
    throw Failure("snapshot: expected a saved state that begins with its size, as in libunicorn 2.0 and 2.1, found another: MSR cannot "
                  "be set in it");
  }
  return size;
}

// The register's place in the saved state is where two states differ that differ in MSR alone, by the values that were written.
void CpuState::WriteHypervisorMode(int msr, uint64_t value) {
  constexpr uint64_t kFirst = uint64_t{1} << 63;
  constexpr uint64_t kSecond = kFirst | 1 << 12;
  constexpr uint64_t kHypervisor = uint64_t{1} << 60;
  registers_.Write(msr, kFirst);
  Save();
  const auto* const context = reinterpret_cast<const uint8_t*>(context_);
  const size_t size = StateSize();
  const std::vector<uint8_t> before(context, context + size);
  registers_.Write(msr, kSecond);
  Save();
  size_t patched = 0;
  // Where the state begins depends on libunicorn's version: in 2.1.1 at no multiple of 8.
  for (size_t at = 0; at + sizeof(uint64_t) <= size; ++at) {
    uint64_t old = 0, now = 0;
    auto* const place = reinterpret_cast<uint8_t*>(context_) + at;
    std::memcpy(&old, before.data() + at, sizeof old);
    std::memcpy(&now, place, sizeof now);
    if (old != kFirst || now != kSecond) continue;
    now |= kHypervisor;
    std::memcpy(place, &now, sizeof now);
    ++patched;
  }
  if (patched == 0) throw Failure("snapshot: expected MSR in the saved state of the emulator, found it nowhere");
  Restore();
  registers_.Write(msr, value);
  if ((registers_.Read(msr) & kHypervisor) == 0) throw Failure("snapshot: expected MSR to keep HV, found it cleared");
}

void CpuState::Restore() const {
  Expect(unicorn_, unicorn_.context_restore(uc_, context_), "uc_context_restore");
  for (const auto& [id, value] : values_) registers_.Write(id, value);
}
