#include "hooks.h"

#include <algorithm>

#include "dispatch.h"
#include "sparc.h"

namespace {

constexpr int kFaults = UC_HOOK_MEM_READ_INVALID | UC_HOOK_MEM_WRITE_INVALID | UC_HOOK_MEM_FETCH_INVALID;

// Of one address.
uc_err AddAt(uc_engine* uc, uc_hook* handle, int type, AddressRecord& record) {
  return libunicorn.hook_add(uc, handle, type, reinterpret_cast<void*>(Dispatcher::OnRecord), &record, record.address,
                             record.address);
}

// Of every address.
template <typename Callback, typename Data>
uc_err AddEverywhere(uc_engine* uc, uc_hook* handle, int type, Callback* callback, Data& data) {
  return libunicorn.hook_add(uc, handle, type, reinterpret_cast<void*>(callback), &data, 1, 0);
}

}  // namespace

Hooks::Hooks(Anchor& anchor, Emulator& emulator, TranslatedCode& code, Gate& gate, Copies& copies,
             Dispatcher& dispatcher)
    : anchor_(anchor), emulator_(emulator), code_(code), gate_(gate), copies_(copies), dispatcher_(dispatcher) {
  const Napi::Env env(anchor.env());
  gate_.dispatcher = &dispatcher_;
  uc_engine* uc = emulator_.uc();
  Check(env, "uc_hook_add", AddEverywhere(uc, &faults_.handle, kFaults, Dispatcher::OnFault, dispatcher_));
  Check(env, "uc_hook_add",
        AddEverywhere(uc, &translation_hook_, UC_HOOK_EDGE_GENERATED, Dispatcher::OnTranslated, dispatcher_));
}

void AddressRecord::FindOnlyCopy() {
  only_copy = nullptr;
  if (until || limit) return;
  for (const auto& hook : hooks) {
    if (hook->removed) continue;
    if (only_copy != nullptr || !hook->copy) {
      only_copy = nullptr;
      return;
    }
    only_copy = hook->copy.get();
  }
}

AddressRecord* Hooks::At(uint64_t address) {
  const auto found = records_.find(address);
  return found == records_.end() ? nullptr : found->second.get();
}

AddressRecord* Hooks::AtBlock(uint64_t address) {
  if (!gate_.hooked.MayHold(address)) return nullptr;
  AddressRecord* record = At(address);
  return record != nullptr && record->in_block ? record : nullptr;
}

AddressRecord* Hooks::AtInstruction(uint64_t address) {
  if (on_instructions_ == 0) return nullptr;
  AddressRecord* record = At(address);
  return record != nullptr && !record->in_block ? record : nullptr;
}

std::optional<uint64_t> Hooks::NextInstruction(uint64_t address) const {
  auto next = records_.upper_bound(address);
  while (next != records_.end() && next->second->in_block) ++next;
  return next == records_.end() ? std::nullopt : std::optional<uint64_t>(next->first);
}

bool Hooks::FindCrossed(uint64_t address, uint64_t size) {
  bool any = false;
  for (auto found = records_.upper_bound(address); found != records_.end() && found->first - address < size; ++found) {
    if (!found->second->in_block) continue;
    to_upgrade_.push_back(found->first);
    any = true;
  }
  return any;
}

AddressRecord& Hooks::RecordAt(Napi::Env env, uint64_t address) {
  const auto found = records_.find(address);
  if (found != records_.end()) return *found->second;
  auto record = std::make_unique<AddressRecord>();
  record->dispatcher = &dispatcher_;
  record->address = address;
  AddressRecord& result = *record;
  record->in_block = true;
  Check(env, "uc_hook_add at " + Hex(address), AttachToBlock(*record));
  records_.emplace(address, std::move(record));
  gate_.hooked.Add(address);
  gate_.counter.MarkHooked(address);
  code_.Drop(address, 1);
  return result;
}

// The hook on every block, while it is there, stands in for those on single blocks: libunicorn calls a hook that is the
// only one of its kind without a detour.
uc_err Hooks::AttachToBlock(AddressRecord& record) {
  if (block_hook_ != 0) return UC_ERR_OK;
  return AddAt(emulator_.uc(), &record.handle, UC_HOOK_BLOCK, record);
}

void Hooks::Uninstall(AddressRecord& record) {
  if (record.handle != 0) libunicorn.hook_del(emulator_.uc(), record.handle);
  if (!record.in_block) {
    --on_instructions_;
    instruction_lingers_ = true;
  }
  code_.Drop(record.address, 1);
}

void Hooks::ReleaseIfEmpty(uint64_t address) {
  const auto found = records_.find(address);
  if (found == records_.end() || found->second->until || found->second->limit) return;
  const auto& hooks = found->second->hooks;
  if (std::any_of(hooks.begin(), hooks.end(), [](const auto& hook) { return !hook->removed; })) return;
  Uninstall(*found->second);
  retired_.push_back(std::move(found->second));
  records_.erase(found);
  if (!emulator_.executing()) Sweep();
}

// Frees what was removed; never while the emulator may still call it.
void Hooks::Sweep() {
  retired_.clear();
  gate_.hooked.Clear();
  const auto removed = [](const auto& hook) { return hook->removed; };
  for (auto& [address, record] : records_) {
    if (record->in_block) gate_.hooked.Add(address);
    auto& hooks = record->hooks;
    hooks.erase(std::remove_if(hooks.begin(), hooks.end(), removed), hooks.end());
    record->FindOnlyCopy();
  }
  for (EventList* list : lists()) {
    auto& hooks = list->hooks;
    hooks.erase(std::remove_if(hooks.begin(), hooks.end(), removed), hooks.end());
  }
}

// Between two emulations: addresses that a block runs across get a hook on the instruction.
std::optional<uint64_t> Hooks::Upgrade() {
  std::optional<uint64_t> refused;
  for (const uint64_t address : to_upgrade_) {
    const auto found = records_.find(address);
    if (found == records_.end() || !found->second->in_block) continue;
    AddressRecord& record = *found->second;
    if (emulator_.arch() == UC_ARCH_SPARC && HasDelaySlot(emulator_.uc(), address - 4) && ForgetsJumps(emulator_.mode())) {
      refused = address;
      // Translated anew, it is refused again: it must not go unseen because somebody tries once more.
      code_.Drop(address, 1);
      continue;
    }
    uc_hook handle = 0;
    if (AddAt(emulator_.uc(), &handle, UC_HOOK_CODE, record) != UC_ERR_OK) continue;
    if (record.handle != 0) libunicorn.hook_del(emulator_.uc(), record.handle);
    record.handle = handle;
    record.in_block = false;
    ++on_instructions_;
    code_.Drop(address, 1);
  }
  to_upgrade_.clear();
  return refused;
}

void Hooks::SetUntil(Napi::Env env, uint64_t address) {
  if (until_ && *until_ == address) return;
  if (until_) {
    const uint64_t old = *until_;
    until_.reset();
    const auto found = records_.find(old);
    if (found != records_.end()) {
      found->second->until = false;
      found->second->FindOnlyCopy();
    }
    ReleaseIfEmpty(old);
  }
  AddressRecord& record = RecordAt(env, address);
  record.until = true;
  record.only_copy = nullptr;
  until_ = address;
}

void Hooks::SetLimit(Napi::Env env, uint64_t address) {
  AddressRecord& record = RecordAt(env, address);
  record.limit = true;
  record.only_copy = nullptr;
  to_upgrade_.push_back(address);
}

void Hooks::DropLimit(uint64_t address) {
  const auto found = records_.find(address);
  if (found == records_.end()) return;
  found->second->limit = false;
  found->second->FindOnlyCopy();
  ReleaseIfEmpty(address);
}

void Hooks::EndExecution() {
  instruction_lingers_ = false;
  Sweep();
}

void Hooks::Release() {
  records_.clear();
  retired_.clear();
  for (EventList* list : lists()) list->hooks.clear();
}

void Hooks::SetOnEveryBlock(bool on) {
  if (on == (block_hook_ != 0)) return;
  if (on) {
    AddEverywhere(emulator_.uc(), &block_hook_, UC_HOOK_BLOCK,
                  emulator_.arch() == UC_ARCH_MIPS ? Dispatcher::OnMipsBlock : Dispatcher::OnBlock, gate_);
  } else {
    libunicorn.hook_del(emulator_.uc(), block_hook_);
    block_hook_ = 0;
  }
  for (auto& [address, record] : records_) {
    if (!record->in_block) continue;
    if (record->handle != 0) libunicorn.hook_del(emulator_.uc(), record->handle);
    record->handle = 0;
    AttachToBlock(*record);
  }
  gate_.attention.flush = true;
}

void Hooks::SetOnEveryInstruction(bool on) {
  if (on == (instruction_hook_ != 0)) return;
  if (on) {
    AddEverywhere(emulator_.uc(), &instruction_hook_, UC_HOOK_CODE, Dispatcher::OnInstruction, dispatcher_);
  } else {
    libunicorn.hook_del(emulator_.uc(), instruction_hook_);
    instruction_hook_ = 0;
    instruction_lingers_ = true;
  }
  gate_.attention.flush = true;
}

Napi::Value Hooks::AddAddress(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  auto hook = std::make_unique<AddressHook>();
  hook->callback = Kept(anchor_, ReadFunction(info[1], "callback"));
  hook->id = next_++;
  const double id = static_cast<double>(hook->id);
  AddHook(env, address, std::move(hook));
  return Napi::Number::New(env, id);
}

Napi::Value Hooks::AddCopy(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  const uint64_t address = ReadAddress(info[0], "address");
  std::unique_ptr<CopyRequest> request = copies_.ReadSpec(info);
  auto hook = std::make_unique<AddressHook>();
  hook->copy = std::move(request);
  hook->id = next_++;
  const double id = static_cast<double>(hook->id);
  AddHook(env, address, std::move(hook));
  return Napi::Number::New(env, id);
}

void Hooks::AddHook(Napi::Env env, uint64_t address, std::unique_ptr<AddressHook> hook) {
  AddressRecord& record = RecordAt(env, address);
  record.hooks.push_back(std::move(hook));
  record.FindOnlyCopy();
}

Napi::Value Hooks::RemoveAddress(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (emulator_.closed()) return env.Undefined();
  const uint64_t address = ReadAddress(info[0], "address");
  const auto id = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  const auto found = records_.find(address);
  if (found == records_.end()) return env.Undefined();
  for (const auto& hook : found->second->hooks) {
    if (hook->id == id) hook->removed = true;
  }
  found->second->FindOnlyCopy();
  ReleaseIfEmpty(address);
  if (!emulator_.executing()) Sweep();
  return env.Undefined();
}

Napi::Value Hooks::AddEvent(const Napi::CallbackInfo& info, EventList& list, int type, void* callback) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  auto hook = std::make_unique<EventHook>();
  hook->callback = Kept(anchor_, ReadFunction(info[0], "callback"));
  hook->id = next_++;
  const double id = static_cast<double>(hook->id);
  if (callback != nullptr && list.handle == 0) {
    Check(env, "uc_hook_add", libunicorn.hook_add(emulator_.uc(), &list.handle, type, callback, &dispatcher_, 1, 0));
  }
  list.hooks.push_back(std::move(hook));
  return Napi::Number::New(env, id);
}

Napi::Value Hooks::AddBlock(const Napi::CallbackInfo& info) {
  // The hook of Unicorn's is added when the emulator next starts; a run that is under way is interrupted for it.
  const Napi::Value id = AddEvent(info, blocks_, UC_HOOK_BLOCK, nullptr);
  if (emulator_.executing() && block_hook_ == 0) gate_.attention.flush = true;
  return id;
}

Napi::Value Hooks::AddFault(const Napi::CallbackInfo& info) { return AddEvent(info, faults_, 0, nullptr); }

Napi::Value Hooks::AddInterrupt(const Napi::CallbackInfo& info) {
  return AddEvent(info, interrupts_, UC_HOOK_INTR, reinterpret_cast<void*>(Dispatcher::OnInterrupt));
}

Napi::Value Hooks::AddRead(const Napi::CallbackInfo& info) {
  // Loads are only seen in code that is translated while the hook is there.
  gate_.attention.flush = true;
  return AddEvent(info, reads_, UC_HOOK_MEM_READ, reinterpret_cast<void*>(Dispatcher::OnRead));
}

Napi::Value Hooks::AddInstruction(const Napi::CallbackInfo& info) {
  if (!emulator_.closed() && emulator_.arch() == UC_ARCH_SPARC && ForgetsJumps(emulator_.mode())) {
    throw MakeError(info.Env(), ErrorKind::Unsupported,
                    "hooks on every instruction of a SPARC: this libunicorn forgets where a jump goes when the instruction "
                    "in its delay slot has a hook; use another one (UNICORN_PREFIX), 2.0.1 or 2.1.1 do not");
  }
  const Napi::Value id = AddEvent(info, instructions_, UC_HOOK_CODE, nullptr);
  if (emulator_.executing() && instruction_hook_ == 0) gate_.attention.flush = true;
  return id;
}

Napi::Value Hooks::RemoveEvent(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (emulator_.closed()) return env.Undefined();
  const auto id = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  for (EventList* list : lists()) {
    bool any = false;
    for (const auto& hook : list->hooks) {
      if (hook->id == id) hook->removed = true;
      any = any || !hook->removed;
    }
    // An interrupt that nobody hooks must end the run, which it does not while the hook is there. The hook on faults
    // stays: it also sees the end of a run where nothing is mapped.
    if (!any && list->handle != 0 && list != &faults_) {
      libunicorn.hook_del(emulator_.uc(), list->handle);
      list->handle = 0;
      if (list == &reads_) gate_.attention.flush = true;
    }
  }
  if (!emulator_.executing()) Sweep();
  return env.Undefined();
}
