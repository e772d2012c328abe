#include "engine.h"

#include "s390.h"
#include "sparc.h"

Napi::Function Engine::Define(Napi::Env env) {
  using E = Engine;
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod<&E::Close>("close"),
                         InstanceMethod<&E::Quirks>("quirks"),
                         InstanceMethod<&E::Ask<&E::runner_, &Runner::Slice>>("slice"),
                         InstanceMethod<&E::Ask<&E::runner_, &Runner::Stop>>("stop"),
                         InstanceMethod<&E::Ask<&E::registers_, &Registers::Read>>("readRegister"),
                         InstanceMethod<&E::Ask<&E::registers_, &Registers::ReadMany>>("readRegisters"),
                         InstanceMethod<&E::Ask<&E::registers_, &Registers::Write>>("writeRegister"),
                         InstanceMethod<&E::Ask<&E::registers_, &Registers::Save>>("saveContext"),
                         InstanceMethod<&E::Ask<&E::registers_, &Registers::Restore>>("restoreContext"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::Map>>("map"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::MapShared>>("mapShared"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::Unmap>>("unmap"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::Regions>>("regions"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::Read>>("read"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::Write>>("write"),
                         InstanceMethod<&E::Ask<&E::memory_, &GuestMemory::DropCode>>("dropCode"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddAddress>>("addAddressHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddCopy>>("addCopyHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::RemoveAddress>>("removeAddressHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddBlock>>("addBlockHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddFault>>("addFaultHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddInterrupt>>("addInterruptHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddRead>>("addReadHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::AddInstruction>>("addInstructionHook"),
                         InstanceMethod<&E::Ask<&E::hooks_, &Hooks::RemoveEvent>>("removeEventHook"),
                         InstanceMethod<&E::Ask<&E::rings_, &Rings::Open>>("openRing"),
                         InstanceMethod<&E::Ask<&E::rings_, &Rings::Close>>("closeRing"),
                         InstanceMethod<&E::Ask<&E::rings_, &Rings::Flush>>("flushRing"),
                         InstanceMethod<&E::Ask<&E::counting_, &Counting::InstructionCount>>("instructionCount"),
                         InstanceMethod<&E::Ask<&E::counting_, &Counting::CycleCount>>("cycleCount"),
                         InstanceMethod<&E::Ask<&E::counting_, &Counting::ChargeCycles>>("chargeCycles"),
                     });
}

Engine::Engine(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Engine>(info),
      anchor_(info.Env(), info.This()),
      emulator_(info.Env(), info[0], info[1], info[2], info[4].ToBoolean()),
      javascript_(anchor_, gate_.attention),
      code_(emulator_),
      registers_(info.Env(), emulator_),
      memory_(anchor_, emulator_, code_),
      rings_(emulator_, javascript_),
      copies_(emulator_, registers_, javascript_, rings_),
      hooks_(anchor_, emulator_, code_, gate_, copies_, dispatcher_),
      counting_(emulator_, registers_, hooks_, gate_, javascript_),
      dispatcher_(emulator_, registers_, code_, hooks_, counting_, copies_, gate_, javascript_),
      runner_(anchor_, info[3], emulator_, registers_, code_, memory_, hooks_, counting_, rings_, dispatcher_, gate_,
              javascript_) {}

Engine* Engine::From(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const AddonData* data = value.Env().GetInstanceData<AddonData>();
  Napi::Object object = value.As<Napi::Object>();
  return object.InstanceOf(data->engine.Value()) ? Unwrap(object) : nullptr;
}

void Engine::Shut() {
  runner_.Release();
  emulator_.Close();
  // What else an emulator takes waits for its finalizer, which needs a turn of the event loop.
  gate_.counter.Release();
  dispatcher_.Release();
  code_.Release();
  hooks_.Release();
  memory_.Release();
  rings_.Release();
}

Napi::Value Engine::Close(const Napi::CallbackInfo& info) {
  emulator_.RefuseWhileRunning(info.Env(), "close");
  Shut();
  return info.Env().Undefined();
}

// What this libunicorn cannot do for this machine, in words; tried, not told by its version.
Napi::Value Engine::Quirks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  emulator_.Live(env);
  const Napi::Array found = Napi::Array::New(env);
  if (emulator_.arch() == UC_ARCH_SPARC && ForgetsJumps(emulator_.mode())) {
    found.Set(found.Length(), "hooks in the delay slot of a jump are refused: the jump would be forgotten");
  }
  if (emulator_.arch() == UC_ARCH_S390X && LosesConditionCode()) {
    found.Set(found.Length(),
              "limits of instructions end before the block that would exceed them: inside it the condition code would be lost");
  }
  return found;
}
