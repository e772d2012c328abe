#include "cpu_state.h"

#include <cstring>
#include <string>

#include "failure.h"

namespace {

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
  // The first word of a context is the size of its state: none for SPARC in 2.0.1.
  size_t size = 0;
  std::memcpy(&size, context_, sizeof size);
  values_.clear();
  if (size == 0) values_ = registers_.All();
}

// The register's place in the saved state is where two states differ that differ in MSR alone, by the values that were written.
void CpuState::WriteHypervisorMode(int msr, uint64_t value) {
  constexpr uint64_t kFirst = uint64_t{1} << 63;
  constexpr uint64_t kSecond = kFirst | 1 << 12;
  constexpr uint64_t kHypervisor = uint64_t{1} << 60;
  registers_.Write(msr, kFirst);
  Save();
  const auto* const context = reinterpret_cast<const uint8_t*>(context_);
  size_t size = 0;
  std::memcpy(&size, context, sizeof size);
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
