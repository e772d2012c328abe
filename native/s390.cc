#include "s390.h"

#include "libunicorn.h"

namespace {

void Stop(uc_engine* uc, uint64_t, uint32_t, void*) { libunicorn.emu_stop(uc); }

bool TryStop() {
  constexpr uint64_t kCode = 0x10000;
  constexpr uint64_t kMiddle = kCode + 4;
  constexpr uint64_t kEnd = kCode + 10;
  const uint8_t code[] = {
      0xb9, 0x20, 0x00, 0x23,  // cgr %r2, %r3: the second is the greater, condition code 1
      0x07, 0x07,              // nopr
      0xb2, 0x22, 0x00, 0x40,  // ipm %r4: the condition code, in bits 28 and 29
      0x07, 0x07,              // nopr
  };
  const uint64_t less = 1;
  const uint64_t more = 2;
  uint64_t mask = 0;
  uc_engine* uc = nullptr;
  if (libunicorn.open(UC_ARCH_S390X, UC_MODE_BIG_ENDIAN, &uc) != UC_ERR_OK) return false;
  libunicorn.UseVirtualTlb(uc);
  uc_hook hooks[2] = {};
  libunicorn.mem_map(uc, kCode, 0x1000, UC_PROT_ALL);
  libunicorn.mem_write(uc, kCode, code, sizeof code);
  libunicorn.reg_write(uc, UC_S390X_REG_R2, &less);
  libunicorn.reg_write(uc, UC_S390X_REG_R3, &more);
  libunicorn.EnableExits(uc);
  for (const uint64_t at : {kMiddle, kEnd}) {
    libunicorn.hook_add(uc, &hooks[at == kEnd], UC_HOOK_CODE, reinterpret_cast<void*>(Stop), nullptr, at, at);
  }
  libunicorn.emu_start(uc, kCode, 0, 0, 0);
  libunicorn.hook_del(uc, hooks[0]);
  libunicorn.RemoveCache(uc, kCode, kCode + sizeof code);
  libunicorn.emu_start(uc, kMiddle, 0, 0, 0);
  libunicorn.reg_read(uc, UC_S390X_REG_R4, &mask);
  libunicorn.close(uc);
  return (mask >> 28 & 3) == 1;
}

}  // namespace

bool LosesConditionCode() {
  static const bool loses = !TryStop();
  return loses;
}
