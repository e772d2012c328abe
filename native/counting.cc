// The engine's side of the counter: learning blocks, pricing them, limits. Nothing that runs in a callback of libunicorn
// throws.
#include <cmath>
#include <cstring>
#include <limits>

#include "engine.h"

void Engine::StartCounting(const Napi::Object& options) {
  const auto limit = [&](const char* name, double none) {
    const Napi::Value value = options.Get(name);
    return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : none;
  };
  const Napi::Value pricer = options.Get("cycles");
  pricing_ = pricer.IsFunction();
  const double instructions = limit("instructionLimit", -1);
  counting_ = pricing_ || instructions >= 0 || options.Get("countInstructions").ToBoolean().Value();
  counter_.Start(instructions < 0 ? UINT64_MAX : static_cast<uint64_t>(instructions), arch_ == UC_ARCH_SPARC,
                 limit("cycleLimit", std::numeric_limits<double>::infinity()), pricing_);
  if (pricing_ && (pricer_.IsEmpty() || !pricer_.Value().StrictEquals(pricer))) {
    pricer_ = Napi::Persistent(pricer.As<Napi::Function>());
    counter_.ForgetPrices();
  }
  limit_wanted_.reset();
  DropLimit();
}

void Engine::Learn(const uc_tb& block) { LearnBlock(block.pc, block.size, block.icount); }

Block& Engine::LearnBlock(uint64_t address, uint32_t size, std::optional<uint16_t> instructions) {
  std::vector<uint8_t> code = ReadCode(address, size);
  Block& block = counter_.Learn(address, size, instructions, CodeKindOf(arch_, mode_, InThumbState()),
                                (mode_ & UC_MODE_BIG_ENDIAN) != 0, code);
  const bool hooked = block_records_.MayHold(address);
  block.special = static_cast<uint16_t>((block.special & ~Counter::kHooked) | (hooked ? Counter::kHooked : 0));
  return block;
}

// Empty where it cannot be read: with paging on, libunicorn takes the address for a physical one.
std::vector<uint8_t> Engine::ReadCode(uint64_t address, uint32_t size) {
  std::vector<uint8_t> code(size);
  if (uc_mem_read(uc_, address, code.data(), size) != UC_ERR_OK) code.clear();
  return code;
}

Block& Engine::Known(uint64_t address, uint32_t size) {
  Block* block = counter_.Find(address, size);
  const bool known = block != nullptr &&
                     ((block->special & Counter::kTwofold) == 0 || block->detail->thumb == InThumbState());
  return known ? *block : LearnBlock(address, size, std::nullopt);
}

bool Engine::Spent(uint64_t address, uint32_t size) {
  const Block& block = Known(address, size);
  if ((block.special & Counter::kSingle) != 0) counter_.EndAfter(address);
  reached_instruction_limit_ = counter_.SpentInstructions();
  reached_cycle_limit_ = !reached_instruction_limit_ && counter_.SpentCycles();
  return reached_instruction_limit_ || reached_cycle_limit_;
}

void Engine::CountBlock(uint64_t address, uint32_t size) {
  Block& block = Known(address, size);
  if (pricing_ && (block.special & Counter::kUnpriced) != 0 && !Price(block)) {
    Leave(address);
    return;
  }
  const std::optional<Limit> limit = LimitFor(block);
  if (limit && (limit->address == address || limit_ != limit)) {
    reached_instruction_limit_ = limit->address == address;
    if (!reached_instruction_limit_) limit_wanted_ = limit;
    // All hooks for this arrival have fired.
    resume_ = Resume{true, address, true, next_hook_ - 1, next_hook_ - 1};
    Leave(address);
    return;
  }
  counter_.EnterWhole(block);
}

// Where in a block that is about to be entered the run must end; nothing when all of it may be executed.
std::optional<Engine::Limit> Engine::LimitFor(const Block& block) {
  const auto& lengths = block.detail->lengths;
  const uint64_t room = counter_.room();
  if (room > block.instructions || (room == block.instructions && arch_ != UC_ARCH_SPARC)) return std::nullopt;
  const uint64_t count = counter_.instructions();
  // 2.0.1: in the middle of a block of s390x the condition code is not where it can be saved.
  if (room == 0 || lengths.empty() || arch_ == UC_ARCH_S390X) return Limit{block.address, count};
  uint64_t address = block.address;
  for (uint64_t i = 0; i < room; ++i) address += lengths[i];
  if (arch_ == UC_ARCH_SPARC && HasDelaySlot(address - 4)) return Limit{address - 4, count + room - 1};
  if (room == block.instructions) return std::nullopt;
  if (block.detail->thumb) return BeforeItBlock(block, Limit{address, count + room});
  return Limit{address, count + room};
}

// 2.0.1 cannot be stopped between an IT instruction and those that it makes conditional.
Engine::Limit Engine::BeforeItBlock(const Block& block, Limit limit) {
  const std::vector<uint8_t> code = ReadCode(block.address, block.size);
  uint64_t at = block.address;
  uint64_t count = counter_.instructions();
  if (code.empty()) return Limit{at, count};
  for (size_t i = 0; at < limit.address; at += block.detail->lengths[i++], ++count) {
    const size_t offset = at - block.address;
    const uint8_t low = code[offset + (mode_ & UC_MODE_BIG_ENDIAN ? 1 : 0)];
    const uint8_t high = code[offset + (mode_ & UC_MODE_BIG_ENDIAN ? 0 : 1)];
    // Arm ARM (DDI 0406C) A8.8.55: the lowest bit of the mask that is set says for how many.
    if (high != 0xbf || (low & 0xf) == 0) continue;
    const uint64_t conditional = low & 1 ? 4 : low & 2 ? 3 : low & 4 ? 2 : 1;
    if (limit.instructions - count <= conditional) return Limit{at, count};
  }
  return limit;
}

// 2.0.1 keeps the next pc of SPARC to itself: a stop between a branch and its delay slot would forget the branch.
bool Engine::HasDelaySlot(uint64_t address) {
  uint8_t code[4] = {};
  if (uc_mem_read(uc_, address, code, sizeof code) != UC_ERR_OK) return false;
  // The SPARC Architecture Manual, version 9, appendix E: op, op2 and op3 of calls, branches, JMPL and RETURN.
  const int op = code[0] >> 6;
  const int op2 = code[1] >> 6 | (code[0] & 1) << 2;
  const int op3 = (code[0] & 1) << 5 | code[1] >> 3;
  return op == 1 || (op == 0 && op2 != 0 && op2 != 4) || (op == 2 && (op3 == 0x38 || op3 == 0x39));
}

// Whether the run may end at the start of a block: on SPARC not in the delay slot of an annulled branch. Where the block
// before is not known it says no, and knows at the next one.
bool Engine::MayLeaveAt(uint64_t address, uint32_t size) {
  if (arch_ != UC_ARCH_SPARC || attention_.failed) return true;
  const std::optional<uint64_t> before = watched_end_;
  watched_end_ = address + size;
  return before && !(*before == address && HasDelaySlot(address - 4));
}

bool Engine::Price(Block& block) {
  Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const std::vector<uint8_t> code = ReadCode(block.address, block.size);
  void* bytes = nullptr;
  napi_value buffer = nullptr;
  napi_value arguments[4];
  napi_create_bigint_uint64(env, block.address, &arguments[0]);
  napi_create_arraybuffer(env, code.size(), &bytes, &buffer);
  if (!code.empty()) std::memcpy(bytes, code.data(), code.size());
  napi_create_typedarray(env, napi_uint8_array, code.size(), buffer, 0, &arguments[1]);
  napi_create_uint32(env, block.instructions, &arguments[2]);
  napi_get_boolean(env, block.detail->thumb, &arguments[3]);
  napi_value answer = nullptr;
  if (!Call(pricer_.Value(), 4, arguments, &answer)) return false;
  double price = -1;
  if (napi_get_value_double(env, answer, &price) != napi_ok || !std::isfinite(price) || price < 0) {
    Fail(MakeError(env, ErrorKind::BadInput,
                   "cycles: expected the price of the block at " + Hex(block.address) + " as a number of 0 or more")
             .Value());
    return false;
  }
  block.price = Counter::Parts(price);
  block.special &= static_cast<uint16_t>(~Counter::kUnpriced);
  return true;
}

// Between two emulations: the instruction at which the limit will be reached gets a hook.
void Engine::PlaceLimit() {
  if (!limit_wanted_) return;
  DropLimit();
  limit_ = limit_wanted_;
  limit_wanted_.reset();
  RecordAt(Env(), limit_->address).limit = true;
  to_upgrade_.push_back(limit_->address);
}

void Engine::DropLimit() {
  if (!limit_) return;
  const uint64_t old = limit_->address;
  limit_.reset();
  const auto found = records_.find(old);
  if (found == records_.end()) return;
  found->second->limit = false;
  ReleaseRecordIfEmpty(old);
}

void Engine::WindBackToAccess() {
  const Block* block = counter_.current();
  if (block == nullptr) return;
  // Instructions with a hook on them that has not fired in this block have not been reached.
  auto next = records_.upper_bound(counter_.passed());
  while (next != records_.end() && next->second->in_block) ++next;
  counter_.WindBackToAccess(next == records_.end() ? block->address + block->size : next->first);
}

// The guest raised an exception, or the emulator gave up at an instruction, with the pc right.
void Engine::CountException(uc_err code) {
  if (!counting_ || (code != UC_ERR_EXCEPTION && code != UC_ERR_INSN_INVALID)) return;
  // 2.0.1 adds 4 to the pc of a PowerPC before it tells of an exception.
  const uint64_t behind = arch_ == UC_ARCH_PPC && code == UC_ERR_EXCEPTION ? 4 : 0;
  counter_.EndAfter(ProgramCounter() - behind);
}

void Engine::PublishCounts() {
  status_[2] = counter_.instructions();
  status_[3] = counter_.slack();
  const double cycles = counter_.cycles();
  std::memcpy(&status_[4], &cycles, sizeof cycles);
}

Napi::Value Engine::InstructionCount(const Napi::CallbackInfo& info) {
  if (!counting_) return info.Env().Null();
  return Napi::Number::New(info.Env(), static_cast<double>(counter_.instructions()));
}

Napi::Value Engine::CycleCount(const Napi::CallbackInfo& info) {
  if (!pricing_) return info.Env().Null();
  return Napi::Number::New(info.Env(), counter_.cycles());
}

Napi::Value Engine::ChargeCycles(const Napi::CallbackInfo& info) {
  if (pricing_) counter_.Charge(info[0].As<Napi::Number>().DoubleValue());
  return info.Env().Undefined();
}
