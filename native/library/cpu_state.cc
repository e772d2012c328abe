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

void CpuState::Restore() const {
  Expect(unicorn_, unicorn_.context_restore(uc_, context_), "uc_context_restore");
  for (const auto& [id, value] : values_) registers_.Write(id, value);
}
