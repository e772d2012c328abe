#include "counting.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "delay_slot.h"
#include "s390.h"

void Counting::Start(const Napi::Object& options) {
  const auto limit = [&](const char* name, double none) {
    const Napi::Value value = options.Get(name);
    return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : none;
  };
  const Napi::Value pricer = options.Get("cycles");
  pricing_ = pricer.IsFunction();
  const double instructions = limit("instructionLimit", -1);
  gate_.counting = pricing_ || instructions >= 0 || options.Get("countInstructions").ToBoolean().Value();
  const bool careful = HasDelaySlots(emulator_);
  gate_.counter.Start(instructions < 0 ? UINT64_MAX : static_cast<uint64_t>(instructions), careful,
                      limit("cycleLimit", std::numeric_limits<double>::infinity()), pricing_);
  const napi_value before = pricer_.Get();
  if (pricing_ && (before == nullptr || !pricer.StrictEquals(Napi::Value(pricer.Env(), before)))) {
    pricer_ = Kept(javascript_.anchor(), pricer);
    gate_.counter.ForgetPrices();
  }
  limit_wanted_.reset();
  DropLimit();
}

Block& Counting::Learn(uint64_t address, uint32_t size, std::optional<uint16_t> instructions) {
  std::vector<uint8_t> code = ReadCode(address, size);
  const CodeKind kind = CodeKindOf(emulator_.arch(), emulator_.mode(), registers_.InThumbState());
  Block& block = gate_.counter.Learn(address, size, instructions, kind, emulator_.big_endian(), code);
  const bool hooked = hooks_.MayHoldBlock(address);
  block.special = static_cast<uint16_t>((block.special & ~Counter::kHooked) | (hooked ? Counter::kHooked : 0));
  return block;
}

// Empty where it cannot be read: with paging on, libunicorn takes the address for a physical one.
std::vector<uint8_t> Counting::ReadCode(uint64_t address, uint32_t size) {
  std::vector<uint8_t> code(size);
  if (libunicorn.mem_read(emulator_.uc(), address, code.data(), size) != UC_ERR_OK) code.clear();
  return code;
}

Block& Counting::Known(uint64_t address, uint32_t size) {
  Block* block = gate_.counter.Find(address, size);
  const bool known = block != nullptr &&
                     ((block->special & Counter::kTwofold) == 0 || block->detail->thumb == registers_.InThumbState());
  return known ? *block : Learn(address, size, std::nullopt);
}

Counting::Spent Counting::SpentBefore(uint64_t address, uint32_t size) {
  const Block& block = Known(address, size);
  if ((block.special & Counter::kSingle) != 0) gate_.counter.EndAfter(address);
  if (gate_.counter.SpentInstructions()) return Spent::kInstructions;
  return gate_.counter.SpentCycles() ? Spent::kCycles : Spent::kNothing;
}

Counting::Entry Counting::Enter(uint64_t address, uint32_t size) {
  Block& block = Known(address, size);
  if (pricing_ && (block.special & Counter::kUnpriced) != 0 && !Price(block)) return Entry::kFailed;
  const std::optional<Limit> limit = LimitFor(block);
  if (limit && limit->address == address) return Entry::kLimit;
  if (limit && limit_ != limit) {
    limit_wanted_ = limit;
    return Entry::kPlaceLimit;
  }
  gate_.counter.EnterWhole(block);
  return Entry::kEntered;
}

// Where in a block that is about to be entered the run must end; nothing when all of it may be executed.
std::optional<Counting::Limit> Counting::LimitFor(const Block& block) {
  const auto& lengths = block.detail->lengths;
  const uint64_t room = gate_.counter.room();
  const bool has_slots = HasDelaySlots(emulator_);
  if (room > block.instructions || (room == block.instructions && !has_slots)) return std::nullopt;
  const uint64_t count = gate_.counter.instructions();
  if (room == 0 || lengths.empty()) return Limit{block.address, count};
  if (emulator_.arch() == UC_ARCH_S390X && LosesConditionCode()) return Limit{block.address, count};
  uint64_t address = block.address;
  for (uint64_t i = 0; i < room; ++i) address += lengths[i];
  // A stop between a jump and its delay slot would forget the jump.
  if (has_slots && JumpsLate(emulator_, address - 4)) return Limit{address - 4, count + room - 1};
  if (room == block.instructions) return std::nullopt;
  if (block.detail->thumb) return BeforeItBlock(block, Limit{address, count + room});
  return Limit{address, count + room};
}

// 2.0.1 cannot be stopped between an IT instruction and those that it makes conditional.
Counting::Limit Counting::BeforeItBlock(const Block& block, Limit limit) {
  const std::vector<uint8_t> code = ReadCode(block.address, block.size);
  uint64_t at = block.address;
  uint64_t count = gate_.counter.instructions();
  if (code.empty()) return Limit{at, count};
  for (size_t i = 0; at < limit.address; at += block.detail->lengths[i++], ++count) {
    const size_t offset = at - block.address;
    const uint8_t low = code[offset + (emulator_.big_endian() ? 1 : 0)];
    const uint8_t high = code[offset + (emulator_.big_endian() ? 0 : 1)];
    // Arm ARM (DDI 0406C) A8.8.55: the lowest bit of the mask that is set says for how many.
    if (high != 0xbf || (low & 0xf) == 0) continue;
    const uint64_t conditional = low & 1 ? 4 : low & 2 ? 3 : low & 4 ? 2 : 1;
    if (limit.instructions - count <= conditional) return Limit{at, count};
  }
  return limit;
}

bool Counting::Price(Block& block) {
  const napi_env env = javascript_.env();
  const CallbackScope scope(env);
  const std::vector<uint8_t> code = ReadCode(block.address, block.size);
  void* bytes = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  if (napi_create_arraybuffer(env, code.size(), &bytes, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint8_array, code.size(), buffer, 0, &array) != napi_ok) {
    javascript_.Fail(ErrorKind::Engine, "cycles: a block could not be told to the pricer");
    return false;
  }
  if (!code.empty()) std::memcpy(bytes, code.data(), code.size());
  const napi_value arguments[] = {javascript_.BigInt(block.address), array, javascript_.Index(block.instructions),
                                  javascript_.Boolean(block.detail->thumb)};
  napi_value answer = nullptr;
  if (!javascript_.Call(pricer_, 4, arguments, &answer)) return false;
  double price = -1;
  if (napi_get_value_double(env, answer, &price) != napi_ok || !std::isfinite(price) || price < 0) {
    javascript_.Fail(ErrorKind::BadInput, "cycles: expected the price of the block at " + Hex(block.address) +
                                              " as a number of 0 or more");
    return false;
  }
  block.price = Counter::Parts(price);
  block.special &= static_cast<uint16_t>(~Counter::kUnpriced);
  return true;
}

void Counting::PlaceLimit(Napi::Env env) {
  if (!limit_wanted_) return;
  DropLimit();
  limit_ = limit_wanted_;
  limit_wanted_.reset();
  hooks_.SetLimit(env, limit_->address);
}

void Counting::DropLimit() {
  if (!limit_) return;
  const uint64_t old = limit_->address;
  limit_.reset();
  hooks_.DropLimit(old);
}

void Counting::WindBackToAccess() {
  const Block* block = gate_.counter.current();
  if (block == nullptr) return;
  // Instructions with a hook on them that has not fired in this block have not been reached.
  gate_.counter.WindBackToAccess(hooks_.NextInstruction(gate_.counter.passed()).value_or(block->address + block->size));
}

void Counting::CountException(uc_err code, std::optional<uint64_t> pc) {
  if (!on() || (code != UC_ERR_EXCEPTION && code != UC_ERR_INSN_INVALID)) return;
  // 2.0.1 adds 4 to the pc of a PowerPC before it tells of an exception; on MIPS the dispatcher does.
  const bool is_behind = emulator_.arch() == UC_ARCH_PPC || emulator_.arch() == UC_ARCH_MIPS;
  const uint64_t behind = is_behind && code == UC_ERR_EXCEPTION ? 4 : 0;
  gate_.counter.EndAfter(pc.value_or(registers_.ProgramCounter()) - behind);
}

void Counting::Publish(uint64_t* status) const {
  status[0] = gate_.counter.instructions();
  status[1] = gate_.counter.slack();
  const double cycles = gate_.counter.cycles();
  std::memcpy(&status[2], &cycles, sizeof cycles);
}

Napi::Value Counting::InstructionCount(const Napi::CallbackInfo& info) {
  if (!on()) return info.Env().Null();
  return Napi::Number::New(info.Env(), static_cast<double>(gate_.counter.instructions()));
}

Napi::Value Counting::CycleCount(const Napi::CallbackInfo& info) {
  if (!pricing_) return info.Env().Null();
  return Napi::Number::New(info.Env(), gate_.counter.cycles());
}

Napi::Value Counting::ChargeCycles(const Napi::CallbackInfo& info) {
  if (pricing_) gate_.counter.Charge(info[0].As<Napi::Number>().DoubleValue());
  return info.Env().Undefined();
}
