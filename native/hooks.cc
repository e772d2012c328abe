// Adding and removing hooks. Code that was translated before is dropped, so that a new hook fires and a removed one
// costs nothing.
#include <algorithm>

#include "engine.h"
#include "native_check_object.h"

AddressRecord& Engine::RecordAt(Napi::Env env, uint64_t address) {
  const auto found = records_.find(address);
  if (found != records_.end()) return *found->second;
  auto record = std::make_unique<AddressRecord>();
  record->engine = this;
  record->address = address;
  AddressRecord& result = *record;
  record->in_block = true;
  Check(env, "uc_hook_add at " + Hex(address), AttachToBlock(*record));
  records_.emplace(address, std::move(record));
  block_records_.Add(address);
  counter_.MarkHooked(address);
  DropRange(address, 1);
  return result;
}

// The hook on every block, while it is there, stands in for those on single blocks: libunicorn calls a hook that is the
// only one of its kind without a detour.
uc_err Engine::AttachToBlock(AddressRecord& record) {
  if (block_hook_ != 0) return UC_ERR_OK;
  return uc_hook_add(uc_, &record.handle, UC_HOOK_BLOCK, reinterpret_cast<void*>(OnRecord), &record, record.address,
                     record.address);
}

void Engine::UninstallRecord(AddressRecord& record) {
  if (record.handle != 0) uc_hook_del(uc_, record.handle);
  if (!record.in_block) {
    --code_records_;
    code_hook_lingers_ = true;
  }
  DropRange(record.address, 1);
}

void Engine::ReleaseRecordIfEmpty(uint64_t address) {
  const auto found = records_.find(address);
  if (found == records_.end() || found->second->until || found->second->limit) return;
  const auto& hooks = found->second->hooks;
  if (std::any_of(hooks.begin(), hooks.end(), [](const auto& hook) { return !hook->removed; })) return;
  UninstallRecord(*found->second);
  retired_.push_back(std::move(found->second));
  records_.erase(found);
  if (!in_emulation_) SweepHooks();
}

// Frees what was removed; never while the emulator may still call it.
void Engine::SweepHooks() {
  retired_.clear();
  block_records_.Clear();
  const auto removed = [](const auto& hook) { return hook->removed; };
  for (auto& [address, record] : records_) {
    if (record->in_block) block_records_.Add(address);
    auto& hooks = record->hooks;
    hooks.erase(std::remove_if(hooks.begin(), hooks.end(), removed), hooks.end());
  }
  for (EventList* list : {&blocks_, &faults_, &interrupts_, &reads_, &instructions_}) {
    auto& hooks = list->hooks;
    hooks.erase(std::remove_if(hooks.begin(), hooks.end(), removed), hooks.end());
  }
}

// Between two emulations: addresses that a block runs across get a hook on the instruction.
void Engine::UpgradeRecords() {
  for (const uint64_t address : to_upgrade_) {
    const auto found = records_.find(address);
    if (found == records_.end() || !found->second->in_block) continue;
    AddressRecord& record = *found->second;
    uc_hook handle = 0;
    if (uc_hook_add(uc_, &handle, UC_HOOK_CODE, reinterpret_cast<void*>(OnRecord), &record, address, address) !=
        UC_ERR_OK) {
      continue;
    }
    if (record.handle != 0) uc_hook_del(uc_, record.handle);
    record.handle = handle;
    record.in_block = false;
    ++code_records_;
    DropRange(address, 1);
  }
  to_upgrade_.clear();
}

void Engine::SetUntil(Napi::Env env, uint64_t address) {
  if (until_ && *until_ == address) return;
  if (until_) {
    const uint64_t old = *until_;
    until_.reset();
    const auto found = records_.find(old);
    if (found != records_.end()) found->second->until = false;
    ReleaseRecordIfEmpty(old);
  }
  RecordAt(env, address).until = true;
  until_ = address;
}

void Engine::SetBlockHook(bool on) {
  if (on == (block_hook_ != 0)) return;
  if (on) {
    uc_hook_add(uc_, &block_hook_, UC_HOOK_BLOCK, reinterpret_cast<void*>(OnBlock), this, 1, 0);
  } else {
    uc_hook_del(uc_, block_hook_);
    block_hook_ = 0;
  }
  for (auto& [address, record] : records_) {
    if (!record->in_block) continue;
    if (record->handle != 0) uc_hook_del(uc_, record->handle);
    record->handle = 0;
    AttachToBlock(*record);
  }
  attention_.flush = true;
}

void Engine::SetInstructionHook(bool on) {
  if (on == (instruction_hook_ != 0)) return;
  if (on) {
    uc_hook_add(uc_, &instruction_hook_, UC_HOOK_CODE, reinterpret_cast<void*>(OnInstruction), this, 1, 0);
  } else {
    uc_hook_del(uc_, instruction_hook_);
    instruction_hook_ = 0;
    code_hook_lingers_ = true;
  }
  attention_.flush = true;
}

Napi::Value Engine::AddAddressHook(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  auto hook = std::make_unique<AddressHook>();
  hook->callback = Napi::Persistent(ReadFunction(info[1], "callback"));
  hook->id = next_hook_++;
  const double id = static_cast<double>(hook->id);
  RecordAt(env, address).hooks.push_back(std::move(hook));
  return Napi::Number::New(env, id);
}

Napi::Value Engine::AddCopyHook(const Napi::CallbackInfo& info) {
  constexpr uint32_t kMostRegisters = 16;
  Napi::Env env = info.Env();
  Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  auto request = std::make_unique<CopyRequest>();
  const Napi::Value buffer = info[1].IsObject() ? info[1].As<Napi::Object>().Get("buffer") : env.Undefined();
  if (!buffer.IsArrayBuffer()) {
    throw MakeError(env, ErrorKind::BadInput,
                    "copy hook: expected a WebAssembly.Memory that is not shared between threads");
  }
  request->memory = Napi::Persistent(info[1].As<Napi::Object>());
  request->buffer = Napi::Persistent(buffer.As<Napi::Object>());
  request->request_offset = ReadIndex(info[2], "requestOffset");
  request->context_offset = ReadIndex(info[3], "contextOffset");
  if (!info[4].IsArray() || info[4].As<Napi::Array>().Length() > kMostRegisters) {
    throw MakeError(env, ErrorKind::BadInput, "copy hook: expected an array of at most 16 register names");
  }
  const Napi::Array names = info[4].As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const Napi::Value name = names.Get(i);
    if (name.IsNull()) continue;
    const int id = FindWordRegister(env, ReadString(name, "register"));
    if (id == pc_) request->pc_index = static_cast<int>(request->register_ids.size());
    request->register_ids.push_back(id);
    request->slots.push_back(i);
    request->request_bytes = 8 * (i + 1);
  }
  if (request->request_offset % 8 != 0 ||
      uint64_t{request->request_offset} + request->request_bytes > buffer.As<Napi::ArrayBuffer>().ByteLength()) {
    throw MakeError(env, ErrorKind::BadInput,
                    "copy hook: expected a request of " + std::to_string(request->request_bytes) +
                        " bytes inside the memory at an offset that is a multiple of 8, found " +
                        Hex(request->request_offset));
  }
  request->judge = Napi::Persistent(ReadFunction(info[5], "judge"));
  request->on_verdict = Napi::Persistent(ReadFunction(info[6], "onVerdict"));
  if (!info[7].IsUndefined()) {
    request->native = NativeCheckObject::From(info[7]);
    if (request->native == nullptr) throw MakeError(env, ErrorKind::BadInput, "copy hook: expected a NativeCheck");
    request->native_reference = Napi::Persistent(info[7].As<Napi::Object>());
    request->outermost = info[8].As<Napi::Boolean>().Value();
  }
  if (!info[9].IsUndefined()) {
    const auto found = rings_.find(static_cast<uint64_t>(info[9].As<Napi::Number>().Int64Value()));
    if (found == rings_.end()) throw MakeError(env, ErrorKind::BadInput, "copy hook: expected an open ring");
    request->ring = found->second;
    if (request->request_bytes > request->ring->head_bytes ||
        uint64_t{request->request_offset} + request->ring->head_bytes > buffer.As<Napi::ArrayBuffer>().ByteLength()) {
      throw MakeError(env, ErrorKind::BadInput, "copy hook: expected a request whose head fits the ring's");
    }
  }
  auto hook = std::make_unique<AddressHook>();
  hook->copy = std::move(request);
  hook->id = next_hook_++;
  const double id = static_cast<double>(hook->id);
  RecordAt(env, address).hooks.push_back(std::move(hook));
  return Napi::Number::New(env, id);
}

Napi::Value Engine::RemoveAddressHook(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (uc_ == nullptr) return env.Undefined();
  const uint64_t address = ReadAddress(info[0], "address");
  const auto id = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  const auto found = records_.find(address);
  if (found == records_.end()) return env.Undefined();
  for (const auto& hook : found->second->hooks) {
    if (hook->id == id) hook->removed = true;
  }
  ReleaseRecordIfEmpty(address);
  if (!in_emulation_) SweepHooks();
  return env.Undefined();
}

Napi::Value Engine::AddEvent(const Napi::CallbackInfo& info, EventList& list, int type, void* callback) {
  Napi::Env env = info.Env();
  Live(env);
  auto hook = std::make_unique<EventHook>();
  hook->callback = Napi::Persistent(ReadFunction(info[0], "callback"));
  hook->id = next_hook_++;
  const double id = static_cast<double>(hook->id);
  if (callback != nullptr && list.handle == 0) {
    Check(env, "uc_hook_add", uc_hook_add(uc_, &list.handle, type, callback, this, 1, 0));
  }
  list.hooks.push_back(std::move(hook));
  return Napi::Number::New(env, id);
}

Napi::Value Engine::AddBlockHook(const Napi::CallbackInfo& info) {
  // The hook of Unicorn's is added when the emulator next starts; a run that is under way is interrupted for it.
  const Napi::Value id = AddEvent(info, blocks_, UC_HOOK_BLOCK, nullptr);
  if (in_emulation_ && block_hook_ == 0) attention_.flush = true;
  return id;
}

Napi::Value Engine::AddFaultHook(const Napi::CallbackInfo& info) { return AddEvent(info, faults_, 0, nullptr); }

Napi::Value Engine::AddInterruptHook(const Napi::CallbackInfo& info) {
  return AddEvent(info, interrupts_, UC_HOOK_INTR, reinterpret_cast<void*>(OnInterrupt));
}

Napi::Value Engine::AddReadHook(const Napi::CallbackInfo& info) {
  // Loads are only seen in code that is translated while the hook is there.
  attention_.flush = true;
  return AddEvent(info, reads_, UC_HOOK_MEM_READ, reinterpret_cast<void*>(OnRead));
}

Napi::Value Engine::AddInstructionHook(const Napi::CallbackInfo& info) {
  const Napi::Value id = AddEvent(info, instructions_, UC_HOOK_CODE, nullptr);
  if (in_emulation_ && instruction_hook_ == 0) attention_.flush = true;
  return id;
}

Napi::Value Engine::RemoveEventHook(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (uc_ == nullptr) return env.Undefined();
  const auto id = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  for (EventList* list : {&blocks_, &faults_, &interrupts_, &reads_, &instructions_}) {
    bool any = false;
    for (const auto& hook : list->hooks) {
      if (hook->id == id) hook->removed = true;
      any = any || !hook->removed;
    }
    // An interrupt that nobody hooks must end the run, which it does not while the hook is there. The hook on faults
    // stays: it also sees the end of a run where nothing is mapped.
    if (!any && list->handle != 0 && list != &faults_) {
      uc_hook_del(uc_, list->handle);
      list->handle = 0;
      if (list == &reads_) attention_.flush = true;
    }
  }
  if (!in_emulation_) SweepHooks();
  return env.Undefined();
}
