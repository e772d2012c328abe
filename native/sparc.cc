#include "sparc.h"

#include <map>
#include <mutex>

namespace {

void Ignore(uc_engine*, uint64_t, uint32_t, void*) {}

void Arrived(uc_engine* uc, uint64_t, uint32_t, void* arrived) {
  *static_cast<bool*>(arrived) = true;
  libunicorn.emu_stop(uc);
}

bool TryJump(uc_mode mode) {
  constexpr uint64_t kCode = 0x10000;
  constexpr uint64_t kSlot = kCode + 4;
  constexpr uint64_t kTarget = kCode + 0x100;
  const uint8_t code[] = {
      0x81, 0xc0, 0x40, 0x00,  // jmpl %g1 + %g0, %g0
      0x01, 0x00, 0x00, 0x00,  // nop
  };
  const uint8_t nop[] = {0x01, 0x00, 0x00, 0x00};
  uc_engine* uc = nullptr;
  if (libunicorn.open(UC_ARCH_SPARC, mode, &uc) != UC_ERR_OK) return false;
  libunicorn.UseVirtualTlb(uc);
  libunicorn.EnableExits(uc);
  bool arrived = false;
  uc_hook hooks[2] = {};
  libunicorn.mem_map(uc, kCode, 0x2000, UC_PROT_ALL);
  libunicorn.mem_write(uc, kCode, code, sizeof code);
  libunicorn.mem_write(uc, kTarget, nop, sizeof nop);
  libunicorn.reg_write(uc, UC_SPARC_REG_G1, &kTarget);
  libunicorn.hook_add(uc, &hooks[0], UC_HOOK_CODE, reinterpret_cast<void*>(Ignore), nullptr, kSlot, kSlot);
  libunicorn.hook_add(uc, &hooks[1], UC_HOOK_BLOCK, reinterpret_cast<void*>(Arrived), &arrived, kTarget, kTarget);
  libunicorn.emu_start(uc, kCode, 0, 0, 0);
  libunicorn.close(uc);
  return arrived;
}

}  // namespace

bool HasDelaySlot(uc_engine* uc, uint64_t address) {
  uint8_t code[4] = {};
  if (libunicorn.mem_read(uc, address, code, sizeof code) != UC_ERR_OK) return false;
  // The SPARC Architecture Manual, version 9, appendix E: op, op2 and op3 of calls, branches, JMPL and RETURN.
  const int op = code[0] >> 6;
  const int op2 = code[1] >> 6 | (code[0] & 1) << 2;
  const int op3 = (code[0] & 1) << 5 | code[1] >> 3;
  return op == 1 || (op == 0 && op2 != 0 && op2 != 4) || (op == 2 && (op3 == 0x38 || op3 == 0x39));
}

bool ForgetsJumps(uc_mode mode) {
  static std::mutex mutex;
  static std::map<uc_mode, bool> known;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = known.find(mode);
  if (found != known.end()) return found->second;
  return known[mode] = !TryJump(mode);
}
