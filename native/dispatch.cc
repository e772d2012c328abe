// The callbacks of libunicorn. Nothing here throws; nothing makes an object on the way of a good copy.
#include "engine.h"
#include "native_check_object.h"

namespace {

// A handle scope per callback: a run may see millions of them.
class CallbackScope {
 public:
  explicit CallbackScope(napi_env env) : env_(env) { napi_open_handle_scope(env, &scope_); }
  ~CallbackScope() { napi_close_handle_scope(env_, scope_); }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};

napi_value BigInt(napi_env env, uint64_t value) {
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, value, &result);
  return result;
}

napi_value Number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

}  // namespace

void Engine::OnRecord(uc_engine*, uint64_t, uint32_t, void* data) {
  auto* record = static_cast<AddressRecord*>(data);
  Engine* engine = record->engine;
  // The hook on every instruction, while it is there, comes to the record itself, so that the order is ours.
  if (!record->in_block && engine->instruction_hook_ != 0) return;
  if (!engine->attention_.leaving) engine->Arrive(*record, record->in_block);
}

void Engine::OnBlock(uc_engine*, uint64_t address, uint32_t size, void* data) {
  auto* engine = static_cast<Engine*>(data);
  // Most blocks of a run in slices end here: every nanosecond counts.
  const bool passes = !engine->attention_.Any() && (engine->counting_ ? engine->counter_.Enter(address, size)
                                                                      : !engine->block_records_.MayHold(address));
  if (!passes) engine->EnterBlock(address, size);
}

void Engine::OnInstruction(uc_engine*, uint64_t address, uint32_t size, void* data) {
  auto* engine = static_cast<Engine*>(data);
  if (engine->attention_.leaving) return;
  if (engine->code_records_ != 0) {
    const auto found = engine->records_.find(address);
    if (found != engine->records_.end() && !found->second->in_block && !engine->Arrive(*found->second, false)) return;
  }
  engine->TellOfInstruction(address, size);
}

void Engine::TellOfInstruction(uint64_t address, uint32_t size) {
  Napi::Env env = Env();
  const CallbackScope scope(env);
  counter_.WindBackTo(address);
  const napi_value arguments[] = {BigInt(env, address), Number(env, size)};
  const size_t count = instructions_.hooks.size();
  for (size_t i = 0; i < count && !attention_.failed; ++i) {
    EventHook& hook = *instructions_.hooks[i];
    if (!hook.removed) Call(hook.callback.Value(), 2, arguments, nullptr);
  }
  counter_.WindForward();
}

void Engine::EnterBlock(uint64_t address, uint32_t size) {
  if (attention_.leaving) return;
  const bool spent = counting_ && Spent(address, size);
  AddressRecord* record = nullptr;
  if (block_records_.MayHold(address)) {
    const auto found = records_.find(address);
    if (found != records_.end() && found->second->in_block) record = found->second.get();
  }
  if (record != nullptr && record->until) {
    reached_until_ = true;
    Leave(address);
    return;
  }
  if ((spent || Interrupted()) && MayLeaveAt(address, size)) {
    Leave(address);
    return;
  }
  Resume done = resume_.valid && resume_.address == address ? resume_ : Resume{};
  if (!done.block_done && !(until_ && *until_ == address)) {
    if (blocks_left_) {
      if (*blocks_left_ == 0) {
        reached_block_limit_ = true;
        Leave(address);
        return;
      }
      --*blocks_left_;
    }
    if (!blocks_.hooks.empty()) {
      Napi::Env env = Env();
      const CallbackScope scope(env);
      callback_pc_ = address;
      const napi_value arguments[] = {BigInt(env, address), Number(env, size)};
      const size_t count = blocks_.hooks.size();
      for (size_t i = 0; i < count && !attention_.failed && !attention_.stop && !wanted_pc_; ++i) {
        EventHook& hook = *blocks_.hooks[i];
        if (!hook.removed) Call(hook.callback.Value(), 2, arguments, nullptr);
      }
      done.address = address;
      done.block_done = true;
      if (!FinishArrival(done)) return;
    }
  }
  if (record != nullptr) {
    if (!Arrive(*record, true)) return;
  } else {
    resume_.valid = false;
  }
  if (counting_) CountBlock(address, size);
}

bool Engine::Arrive(AddressRecord& record, bool at_block) {
  const uint64_t address = record.address;
  if (!at_block) counter_.WindBackTo(address);
  if (record.until) {
    reached_until_ = true;
    Leave(address);
    return false;
  }
  if (record.limit && limit_ && counter_.instructions() >= limit_->instructions) {
    reached_instruction_limit_ = true;
    Leave(address);
    return false;
  }
  if (Interrupted()) {
    Leave(address);
    return false;
  }
  const Resume before = resume_.valid && resume_.address == address ? resume_ : Resume{};
  resume_.valid = false;
  Resume done = before;
  done.address = address;
  done.block_done = true;
  callback_pc_ = address;
  const size_t count = record.hooks.size();
  for (size_t i = 0; i < count; ++i) {
    AddressHook& hook = *record.hooks[i];
    if (hook.removed || hook.id <= before.fired || (hook.copy && hook.id <= before.judged)) continue;
    const bool go_on = Fire(record, hook);
    done.fired = hook.id;
    if (!go_on || attention_.failed || attention_.stop || wanted_pc_) break;
  }
  if (done.fired > done.judged) done.judged = done.fired;
  if (!FinishArrival(done)) return false;
  if (!at_block) counter_.WindForward();
  return true;
}

// After the callbacks of one arrival: on, elsewhere, or out of the emulation.
bool Engine::FinishArrival(const Resume& done) {
  callback_pc_.reset();
  if (Interrupted()) {
    resume_ = done;
    resume_.valid = !attention_.failed && !wanted_pc_;
    Leave(done.address);
    return false;
  }
  if (wanted_pc_) {
    resume_.valid = false;
    if (arch_ == UC_ARCH_SPARC) {
      // 2.0.1: a 64-bit SPARC executes the rest of the block whatever its pc says; the run goes on there instead.
      attention_.leaving = true;
      uc_emu_stop(uc_);
      return false;
    }
    const uint64_t pc = *wanted_pc_;
    wanted_pc_.reset();
    WriteRaw(pc_, pc);  // Unicorn goes on there
    return false;
  }
  return true;
}

bool Engine::Fire(AddressRecord& record, AddressHook& hook) {
  if (hook.copy && hook.copy->ring) return Append(*hook.copy);
  if (hook.copy && hook.copy->native != nullptr) return FireNative(*hook.copy);
  Napi::Env env = Env();
  const CallbackScope scope(env);
  if (hook.copy) return FireCopy(*hook.copy);
  const napi_value pc = BigInt(env, record.address);
  return Call(hook.callback.Value(), 1, &pc, nullptr);
}

// Where the registers go. JavaScript may have made the memory grow since the last time: false, and a failed run, when the
// request is no longer inside.
bool Engine::FindRequest(CopyRequest& request) {
  Napi::Env env = Env();
  void* base = nullptr;
  size_t length = 0;
  const size_t end = static_cast<size_t>(request.request_offset) + request.request_bytes;
  if (request.native != nullptr) request.native->Memory(&length);
  napi_get_arraybuffer_info(env, request.buffer.Value(), &base, &length);
  if (base == nullptr || length < end) {
    napi_value buffer = nullptr;
    bool is_buffer = false;
    if (napi_get_named_property(env, request.memory.Value(), "buffer", &buffer) != napi_ok ||
        napi_is_arraybuffer(env, buffer, &is_buffer) != napi_ok || !is_buffer ||
        napi_get_arraybuffer_info(env, buffer, &base, &length) != napi_ok || base == nullptr || length < end) {
      Fail(MakeError(env, ErrorKind::Engine, "copy hook: the WebAssembly.Memory no longer holds the request").Value());
      return false;
    }
    request.buffer = Napi::Persistent(Napi::Object(env, buffer));
  }
  for (size_t i = 0; i < request.slots.size(); ++i) {
    request.values[i] = static_cast<uint8_t*>(base) + request.request_offset + 8 * request.slots[i];
  }
  request.turn = javascript_turns_;
  return true;
}

void Engine::ReadRequest(CopyRequest& request) {
  const size_t count = request.register_ids.size();
  // Registers of 32 bits are stored as 4 bytes.
  for (size_t i = 0; i < count; ++i) *static_cast<uint64_t*>(request.values[i]) = 0;
  uc_reg_read_batch(uc_, request.register_ids.data(), request.values.data(), static_cast<int>(count));
  if (request.pc_index >= 0) *static_cast<uint64_t*>(request.values[request.pc_index]) = *callback_pc_;
}

// A good copy never leaves C++.
bool Engine::FireNative(CopyRequest& request) {
  if (request.turn != javascript_turns_) {
    const CallbackScope scope(Env());
    if (!FindRequest(request)) return false;
  }
  ReadRequest(request);
  NativeCheck* check = request.native->check();
  const uint32_t code = request.outermost
                            ? native_check_judge_outermost(check, request.context_offset, request.request_offset)
                            : native_check_judge(check, request.context_offset, request.request_offset);
  if (code == 0) return true;
  const CallbackScope scope(Env());
  if (code != NATIVE_CHECK_TRAPPED) return AskHowToGoOn(request.on_verdict.Value(), Number(Env(), code));
  Fail(request.native->TakeError());
  return false;
}

bool Engine::FireCopy(CopyRequest& request) {
  Napi::Env env = Env();
  if (!FindRequest(request)) return false;
  ReadRequest(request);
  napi_value arguments[2];
  napi_create_uint32(env, request.context_offset, &arguments[0]);
  napi_create_uint32(env, request.request_offset, &arguments[1]);
  napi_value answer = nullptr;
  if (!Call(request.judge.Value(), 2, arguments, &answer)) return false;
  int32_t code = 0;
  if (napi_get_value_int32(env, answer, &code) != napi_ok) {
    Fail(MakeError(env, ErrorKind::Engine, "copy hook: expected judge to answer an i32").Value());
    return false;
  }
  return code == 0 || AskHowToGoOn(request.on_verdict.Value(), Number(env, code));
}

// A verdict that deserves a look: TypeScript says how to go on.
bool Engine::AskHowToGoOn(napi_value function, napi_value argument) {
  Napi::Env env = Env();
  napi_value decision = nullptr;
  if (!Call(function, 1, &argument, &decision)) return false;
  char text[16];
  size_t length = 0;
  if (napi_get_value_string_utf8(env, decision, text, sizeof text, &length) == napi_ok) {
    if (std::string(text, length) == "continue") return true;
    if (std::string(text, length) == "stop") {
      attention_.stop = true;
      return true;
    }
  }
  Fail(MakeError(env, ErrorKind::BadInput, "copy hook: expected onVerdict to answer 'stop' or 'continue'").Value());
  return false;
}

bool Engine::Call(napi_value function, size_t count, const napi_value* arguments, napi_value* result) {
  Napi::Env env = Env();
  ++javascript_turns_;
  napi_value ignored = nullptr;
  const napi_status status =
      napi_call_function(env, env.Undefined(), function, count, arguments, result == nullptr ? &ignored : result);
  if (status == napi_ok) return true;
  napi_value error = nullptr;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) {
    napi_get_and_clear_last_exception(env, &error);
  } else {
    error = MakeError(env, ErrorKind::Engine, "a callback could not be called: the environment is closing").Value();
  }
  Fail(error);
  return false;
}

void Engine::Fail(napi_value error) {
  if (attention_.failed) return;
  attention_.failed = true;
  // Anything can be thrown; only objects can be referred to.
  Napi::Env env = Env();
  Napi::Object holder = Napi::Object::New(env);
  holder.Set("error", Napi::Value(env, error));
  failure_ = Napi::Persistent(holder);
}

// Ends the emulation before the instruction at `address`.
void Engine::Leave(uint64_t address) {
  attention_.leaving = true;
  left_at_ = address;
  uc_emu_stop(uc_);
}

bool Engine::OnFault(uc_engine*, uc_mem_type type, uint64_t address, int size, int64_t, void* data) {
  auto* engine = static_cast<Engine*>(data);
  if (engine->attention_.failed) return false;
  const bool fetch = type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT;
  if (fetch && engine->until_ && *engine->until_ == address) {
    engine->reached_until_ = true;
    return false;
  }
  if (!fetch) engine->WindBackToAccess();
  if (engine->faults_.hooks.empty()) return false;
  Napi::Env env = engine->Env();
  const CallbackScope scope(env);
  const bool protection = type == UC_MEM_READ_PROT || type == UC_MEM_WRITE_PROT || type == UC_MEM_FETCH_PROT;
  const double kind = fetch ? 2 : type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT ? 1 : 0;
  napi_value is_protection = nullptr;
  napi_get_boolean(env, protection, &is_protection);
  const napi_value arguments[] = {Number(env, kind), is_protection, BigInt(env, address), Number(env, size)};
  bool mapped = false;
  const size_t count = engine->faults_.hooks.size();
  for (size_t i = 0; i < count && !mapped && !engine->attention_.failed; ++i) {
    EventHook& hook = *engine->faults_.hooks[i];
    napi_value answer = nullptr;
    if (hook.removed || !engine->Call(hook.callback.Value(), 4, arguments, &answer)) continue;
    napi_get_value_bool(env, answer, &mapped);
  }
  if (engine->attention_.failed) return false;
  if (mapped && engine->wanted_pc_) {
    const uint64_t pc = *engine->wanted_pc_;
    engine->wanted_pc_.reset();
    engine->WriteRaw(engine->pc_, pc);
  } else if (mapped && !fetch) {
    engine->counter_.WindForward();
  }
  if (mapped && fetch) engine->orphans_ = true;
  // Without a hook on every block nothing else would look at the request. Unicorn leaves right after the access then.
  if (mapped && engine->attention_.stop && engine->block_hook_ == 0) uc_emu_stop(engine->uc_);
  return mapped;
}

void Engine::OnInterrupt(uc_engine*, uint32_t number, void* data) {
  auto* engine = static_cast<Engine*>(data);
  if (engine->attention_.failed || engine->attention_.leaving) return;
  engine->CountException(UC_ERR_EXCEPTION);
  Napi::Env env = engine->Env();
  const CallbackScope scope(env);
  const napi_value argument = Number(env, number);
  const size_t count = engine->interrupts_.hooks.size();
  for (size_t i = 0; i < count && !engine->attention_.failed; ++i) {
    EventHook& hook = *engine->interrupts_.hooks[i];
    if (!hook.removed) engine->Call(hook.callback.Value(), 1, &argument, nullptr);
  }
  if (engine->Interrupted()) {
    // Between two blocks: the pc is right here.
    engine->attention_.leaving = true;
    uc_emu_stop(engine->uc_);
  } else if (engine->wanted_pc_) {
    const uint64_t pc = *engine->wanted_pc_;
    engine->wanted_pc_.reset();
    engine->WriteRaw(engine->pc_, pc);
  }
}

void Engine::OnRead(uc_engine*, uc_mem_type, uint64_t address, int size, int64_t, void* data) {
  auto* engine = static_cast<Engine*>(data);
  if (engine->attention_.failed || engine->attention_.leaving) return;
  Napi::Env env = engine->Env();
  const CallbackScope scope(env);
  engine->WindBackToAccess();
  const napi_value arguments[] = {BigInt(env, address), Number(env, size)};
  const size_t count = engine->reads_.hooks.size();
  for (size_t i = 0; i < count && !engine->attention_.failed; ++i) {
    EventHook& hook = *engine->reads_.hooks[i];
    if (!hook.removed) engine->Call(hook.callback.Value(), 2, arguments, nullptr);
  }
  engine->counter_.WindForward();
  if ((engine->attention_.failed || engine->attention_.stop) && engine->block_hook_ == 0) uc_emu_stop(engine->uc_);
}

// A block that runs across a hooked address has been translated, but not executed yet.
void Engine::OnTranslated(uc_engine*, uc_tb* current, uc_tb*, void* data) {
  auto* engine = static_cast<Engine*>(data);
  engine->NoteCode(current->pc, current->size);
  engine->Learn(*current);
  bool any = false;
  for (auto found = engine->records_.upper_bound(current->pc);
       found != engine->records_.end() && found->first - current->pc < current->size; ++found) {
    if (!found->second->in_block) continue;
    engine->to_upgrade_.push_back(found->first);
    any = true;
  }
  if (any && !engine->attention_.leaving) {
    engine->attention_.leaving = true;
    uc_emu_stop(engine->uc_);
  }
}

void Engine::OnPrime(uc_engine* uc, uint64_t, uint32_t, void*) { uc_emu_stop(uc); }
