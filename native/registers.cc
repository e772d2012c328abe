// Unicorn stores as many bytes as a register has: the buffers here hold the widest (512 bits).
#include "registers.h"

#include <cstring>

namespace {

constexpr size_t kWidest = 64;

const char* NameOfPc(const Emulator& emulator) {
  if (emulator.arch() != UC_ARCH_X86) return "pc";
  return emulator.mode() & UC_MODE_64 ? "rip" : emulator.mode() & UC_MODE_32 ? "eip" : "ip";
}

}  // namespace

Registers::Registers(Napi::Env env, Emulator& emulator)
    : emulator_(emulator), names_(RegisterNames::Of(emulator.arch())), pc_(names_.Find(env, NameOfPc(emulator))) {
  alignas(16) uint8_t buffer[2 * kWidest] = {};
  Check(env, "uc_reg_read(pc)", libunicorn.reg_read(emulator_.uc(), pc_, buffer));
}

uint64_t Registers::ReadRaw(int id) const {
  alignas(16) uint8_t buffer[2 * kWidest] = {};
  libunicorn.reg_read(emulator_.uc(), id, buffer);
  uint64_t value = 0;
  std::memcpy(&value, buffer, sizeof value);
  return value;
}

uc_err Registers::WriteRaw(int id, uint64_t value) {
  alignas(16) uint8_t buffer[2 * kWidest] = {};
  std::memcpy(buffer, &value, sizeof value);
  return libunicorn.reg_write(emulator_.uc(), id, buffer);
}

bool Registers::IsProgramCounter(int id) const {
  return id == pc_ ||
         (emulator_.arch() == UC_ARCH_X86 && (id == UC_X86_REG_RIP || id == UC_X86_REG_EIP || id == UC_X86_REG_IP));
}

bool Registers::InThumbState() const {
  constexpr uint64_t kThumb = 1 << 5;
  return emulator_.arch() == UC_ARCH_ARM && (ReadRaw(UC_ARM_REG_CPSR) & kThumb) != 0;
}

uint64_t Registers::WithoutThumbBit(uint64_t address) const {
  return emulator_.arch() == UC_ARCH_ARM ? address & ~uint64_t{1} : address;
}

std::optional<uint64_t> Registers::TakeWanted() {
  const std::optional<uint64_t> wanted = wanted_pc_;
  wanted_pc_.reset();
  return wanted;
}

Napi::Value Registers::Read(const Napi::CallbackInfo& info) {
  emulator_.Live(info.Env());
  const int id = names_.Find(info.Env(), ReadString(info[0], "register"));
  const std::optional<uint64_t> seen = IsProgramCounter(id) ? SeenProgramCounter() : std::nullopt;
  return Napi::BigInt::New(info.Env(), seen ? *seen : ReadRaw(id));
}

Napi::Value Registers::ReadMany(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  if (!info[0].IsArray()) throw MakeError(env, ErrorKind::BadInput, "registers: expected an array of names");
  const Napi::Array names = info[0].As<Napi::Array>();
  Napi::Array values = Napi::Array::New(env, names.Length());
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const int id = names_.Find(env, ReadString(names.Get(i), "register"));
    const std::optional<uint64_t> seen = IsProgramCounter(id) ? SeenProgramCounter() : std::nullopt;
    values.Set(i, Napi::BigInt::New(env, seen ? *seen : ReadRaw(id)));
  }
  return values;
}

Napi::Value Registers::Write(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  const std::string name = ReadString(info[0], "register");
  const int id = names_.Find(env, name);
  const uint64_t value = ReadAddress(info[1], "register value");
  ++writes_;
  if (emulator_.executing()) {
    if (IsProgramCounter(id)) {
      // Written when the callback has ended: until then Unicorn must not leave the block.
      wanted_pc_ = value;
      return env.Undefined();
    }
  } else {
    ++changes_;
  }
  Check(env, "uc_reg_write(" + name + ", " + Hex(value) + ")", WriteRaw(id, value));
  return env.Undefined();
}

int Registers::FindWord(Napi::Env env, const std::string& name) const {
  const int id = names_.Find(env, name);
  // Unicorn does not tell a register's width: look how many bytes it stores over two different patterns.
  for (const uint8_t pattern : {uint8_t{0x00}, uint8_t{0xff}}) {
    alignas(16) uint8_t buffer[2 * kWidest];
    std::memset(buffer, pattern, sizeof buffer);
    libunicorn.reg_read(emulator_.uc(), id, buffer);
    for (size_t i = 8; i < sizeof buffer; ++i) {
      if (buffer[i] == pattern) continue;
      throw MakeError(env, ErrorKind::Unsupported, "copy hook: register " + name + " is wider than 64 bits");
    }
  }
  return id;
}
