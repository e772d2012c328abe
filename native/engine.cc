#include "engine.h"

Napi::Function Engine::Define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod<&Engine::Close>("close"),
                         InstanceMethod<&Engine::Stop>("stop"),
                         InstanceMethod<&Engine::ReadRegister>("readRegister"),
                         InstanceMethod<&Engine::ReadRegisters>("readRegisters"),
                         InstanceMethod<&Engine::WriteRegister>("writeRegister"),
                         InstanceMethod<&Engine::Map>("map"),
                         InstanceMethod<&Engine::MapShared>("mapShared"),
                         InstanceMethod<&Engine::Unmap>("unmap"),
                         InstanceMethod<&Engine::Regions>("regions"),
                         InstanceMethod<&Engine::Read>("read"),
                         InstanceMethod<&Engine::Write>("write"),
                         InstanceMethod<&Engine::DropCode>("dropCode"),
                         InstanceMethod<&Engine::AddAddressHook>("addAddressHook"),
                         InstanceMethod<&Engine::AddCopyHook>("addCopyHook"),
                         InstanceMethod<&Engine::RemoveAddressHook>("removeAddressHook"),
                         InstanceMethod<&Engine::AddBlockHook>("addBlockHook"),
                         InstanceMethod<&Engine::AddFaultHook>("addFaultHook"),
                         InstanceMethod<&Engine::AddInterruptHook>("addInterruptHook"),
                         InstanceMethod<&Engine::AddReadHook>("addReadHook"),
                         InstanceMethod<&Engine::AddInstructionHook>("addInstructionHook"),
                         InstanceMethod<&Engine::RemoveEventHook>("removeEventHook"),
                         InstanceMethod<&Engine::OpenRing>("openRing"),
                         InstanceMethod<&Engine::CloseRing>("closeRing"),
                         InstanceMethod<&Engine::FlushRing>("flushRing"),
                         InstanceMethod<&Engine::Slice>("slice"),
                         InstanceMethod<&Engine::InstructionCount>("instructionCount"),
                         InstanceMethod<&Engine::CycleCount>("cycleCount"),
                         InstanceMethod<&Engine::ChargeCycles>("chargeCycles"),
                         InstanceMethod<&Engine::Save>("saveContext"),
                         InstanceMethod<&Engine::Restore>("restoreContext"),
                     });
}

// Arguments: architecture, modes, CPU model or undefined, five u64 words for the status of runs.
Engine::Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
  Napi::Env env = info.Env();
  const std::string arch_name = ReadString(info[0], "architecture");
  arch_ = FindArchitecture(env, arch_name);
  if (!info[1].IsArray()) throw MakeError(env, ErrorKind::BadInput, "mode: expected an array of names");
  std::vector<std::string> modes;
  const Napi::Array mode_names = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < mode_names.Length() && i < 16; ++i) modes.push_back(ReadString(mode_names.Get(i), "mode"));
  mode_ = FindMode(env, modes);
  Napi::BigUint64Array status = info[3].As<Napi::BigUint64Array>();
  status_ = status.Data();
  status_reference_ = Napi::Persistent(static_cast<Napi::Object>(status));
  registers_ = std::make_unique<RegisterNames>(arch_);

  std::string spec = arch_name;
  for (const std::string& mode : modes) spec += " " + mode;
  Check(env, "uc_open(" + spec + ")", uc_open(arch_, mode_, &uc_));
  try {
    if (!info[2].IsUndefined()) {
      const std::string cpu = ReadString(info[2], "CPU model");
      const int model = FindCpu(env, arch_, arch_name, cpu);
      Check(env, "uc_ctl_set_cpu_model(" + spec + ", " + cpu + ")", uc_ctl_set_cpu_model(uc_, model));
    }
    Open(env);
  } catch (...) {
    Shut();
    throw;
  }
}

void Engine::Open(Napi::Env env) {
  const char* pc = arch_ != UC_ARCH_X86 ? "pc" : mode_ & UC_MODE_64 ? "rip" : mode_ & UC_MODE_32 ? "eip" : "ip";
  pc_ = registers_->Find(env, pc);
  // libunicorn sets the CPU up at the first call that needs it; a model that it cannot set up shows here.
  size_t page_size = 0;
  Check(env, "uc_query", uc_query(uc_, UC_QUERY_PAGE_SIZE, &page_size));
  Check(env, "uc_reg_read(pc)", ([&] {
          alignas(16) uint8_t buffer[128] = {};
          return uc_reg_read(uc_, pc_, buffer);
        })());
  // Where a run ends is a hook of our own: Unicorn's `until` leaves blocks behind that halt, and SPARC ignores it.
  Check(env, "uc_ctl_exits_enable", uc_ctl_exits_enable(uc_));
  Check(env, "uc_hook_add",
        uc_hook_add(uc_, &faults_.handle, UC_HOOK_MEM_READ_INVALID | UC_HOOK_MEM_WRITE_INVALID | UC_HOOK_MEM_FETCH_INVALID,
                    reinterpret_cast<void*>(OnFault), this, 1, 0));
  Check(env, "uc_hook_add",
        uc_hook_add(uc_, &translation_hook_, UC_HOOK_EDGE_GENERATED, reinterpret_cast<void*>(OnTranslated), this, 1, 0));
}

Engine::~Engine() { Shut(); }

Engine* Engine::From(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const AddonData* data = value.Env().GetInstanceData<AddonData>();
  Napi::Object object = value.As<Napi::Object>();
  return object.InstanceOf(data->engine.Value()) ? Unwrap(object) : nullptr;
}

void Engine::Shut() {
  timer_.reset();
  if (uc_ != nullptr) uc_close(uc_);
  uc_ = nullptr;
  records_.clear();
  retired_.clear();
  for (EventList* list : {&blocks_, &faults_, &interrupts_, &reads_, &instructions_}) list->hooks.clear();
  shared_.clear();
  rings_.clear();
}

uc_engine* Engine::Live(Napi::Env env) {
  if (uc_ == nullptr) throw MakeError(env, ErrorKind::Engine, "the emulator is closed: open another one");
  return uc_;
}

void Engine::RefuseWhileRunning(const char* call) {
  if (!running_) return;
  throw MakeError(Env(), ErrorKind::Engine,
                  std::string(call) + ": the emulator is running; a callback cannot do this: stop() first");
}

Napi::Value Engine::Close(const Napi::CallbackInfo& info) {
  RefuseWhileRunning("close");
  Shut();
  return info.Env().Undefined();
}

Napi::Value Engine::Stop(const Napi::CallbackInfo& info) {
  attention_.stop = true;
  return info.Env().Undefined();
}
