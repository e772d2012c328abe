// Registers by name. Unicorn stores as many bytes as the register has: the buffers here hold the widest (512 bits).
#include <cstring>

#include "engine.h"

namespace {
constexpr size_t kWidest = 64;
}

uint64_t Engine::ReadRaw(int id) {
  alignas(16) uint8_t buffer[2 * kWidest] = {};
  uc_reg_read(uc_, id, buffer);
  uint64_t value = 0;
  std::memcpy(&value, buffer, sizeof value);
  return value;
}

uc_err Engine::WriteRaw(int id, uint64_t value) {
  alignas(16) uint8_t buffer[2 * kWidest] = {};
  std::memcpy(buffer, &value, sizeof value);
  return uc_reg_write(uc_, id, buffer);
}

bool Engine::IsProgramCounter(int id) const {
  return id == pc_ || (arch_ == UC_ARCH_X86 && (id == UC_X86_REG_RIP || id == UC_X86_REG_EIP || id == UC_X86_REG_IP));
}

uint64_t Engine::ProgramCounter() { return ReadRaw(pc_); }

bool Engine::InThumbState() {
  constexpr uint64_t kThumb = 1 << 5;
  return arch_ == UC_ARCH_ARM && (ReadRaw(UC_ARM_REG_CPSR) & kThumb) != 0;
}

uint64_t Engine::StartAddress(uint64_t address) { return address | (InThumbState() ? 1 : 0); }

uint64_t Engine::WithoutThumbBit(uint64_t address) const {
  return arch_ == UC_ARCH_ARM ? address & ~uint64_t{1} : address;
}

void Engine::SetProgramCounter(uint64_t address) { WriteRaw(pc_, StartAddress(address)); }

Napi::Value Engine::ReadRegister(const Napi::CallbackInfo& info) {
  Live(info.Env());
  const int id = registers_->Find(info.Env(), ReadString(info[0], "register"));
  uint64_t value = 0;
  if (IsProgramCounter(id) && wanted_pc_) {
    value = *wanted_pc_;
  } else if (IsProgramCounter(id) && callback_pc_) {
    value = *callback_pc_;
  } else {
    value = ReadRaw(id);
  }
  return Napi::BigInt::New(info.Env(), value);
}

Napi::Value Engine::ReadRegisters(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Live(env);
  if (!info[0].IsArray()) throw MakeError(env, ErrorKind::BadInput, "registers: expected an array of names");
  const Napi::Array names = info[0].As<Napi::Array>();
  Napi::Array values = Napi::Array::New(env, names.Length());
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const int id = registers_->Find(env, ReadString(names.Get(i), "register"));
    const uint64_t value = IsProgramCounter(id) && (wanted_pc_ || callback_pc_)
                               ? (wanted_pc_ ? *wanted_pc_ : *callback_pc_)
                               : ReadRaw(id);
    values.Set(i, Napi::BigInt::New(env, value));
  }
  return values;
}

Napi::Value Engine::WriteRegister(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Live(env);
  const std::string name = ReadString(info[0], "register");
  const int id = registers_->Find(env, name);
  const uint64_t value = ReadAddress(info[1], "register value");
  if (in_emulation_) {
    if (IsProgramCounter(id)) {
      // Written when the callback has ended: until then Unicorn must not leave the block.
      wanted_pc_ = value;
      return env.Undefined();
    }
  } else {
    resume_.valid = false;
  }
  Check(env, "uc_reg_write(" + name + ", " + Hex(value) + ")", WriteRaw(id, value));
  return env.Undefined();
}

int Engine::FindWordRegister(Napi::Env env, const std::string& name) {
  const int id = registers_->Find(env, name);
  // Unicorn does not tell a register's width: look how many bytes it stores over two different patterns.
  for (const uint8_t pattern : {uint8_t{0x00}, uint8_t{0xff}}) {
    alignas(16) uint8_t buffer[2 * kWidest];
    std::memset(buffer, pattern, sizeof buffer);
    uc_reg_read(uc_, id, buffer);
    for (size_t i = 8; i < sizeof buffer; ++i) {
      if (buffer[i] == pattern) continue;
      throw MakeError(env, ErrorKind::Unsupported, "copy hook: register " + name + " is wider than 64 bits");
    }
  }
  return id;
}
