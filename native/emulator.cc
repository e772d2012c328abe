#include "emulator.h"

#include "names.h"

Emulator::Emulator(Napi::Env env, const Napi::Value& arch, const Napi::Value& modes, const Napi::Value& cpu,
                   bool mmu) {
  const std::string arch_name = ReadString(arch, "architecture");
  arch_ = FindArchitecture(env, arch_name);
  if (!modes.IsArray()) throw MakeError(env, ErrorKind::BadInput, "mode: expected an array of names");
  std::vector<std::string> names;
  const Napi::Array list = modes.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length() && i < 16; ++i) names.push_back(ReadString(list.Get(i), "mode"));
  mode_ = FindMode(env, names);

  std::string spec = arch_name;
  for (const std::string& name : names) spec += " " + name;
  Check(env, "uc_open(" + spec + ")", libunicorn.open(arch_, mode_, &uc_));
  try {
    if (!cpu.IsUndefined()) {
      const std::string model = ReadString(cpu, "CPU model");
      const int id = FindCpu(env, arch_, arch_name, model);
      Check(env, "uc_ctl_set_cpu_model(" + spec + ", " + model + ")", libunicorn.SetCpuModel(uc_, id));
    }
    // libunicorn sets the CPU up at the first call that needs it; a model that it cannot set up shows here.
    size_t page_size = 0;
    Check(env, "uc_query", libunicorn.query(uc_, UC_QUERY_PAGE_SIZE, &page_size));
    // The guest's addresses are those that were mapped, whatever its MMU would say: an older libunicorn does that by
    // itself as long as paging is off; from 2.1 on physical addresses are cut to the CPU's width otherwise.
    if (!mmu) libunicorn.UseVirtualTlb(uc_);
    // Where a run ends is a hook of our own: Unicorn's `until` leaves blocks behind that halt, and SPARC ignores it.
    Check(env, "uc_ctl_exits_enable", libunicorn.EnableExits(uc_));
  } catch (...) {
    Close();
    throw;
  }
}

void Emulator::Close() {
  if (uc_ != nullptr) libunicorn.close(uc_);
  uc_ = nullptr;
}

uc_engine* Emulator::Live(Napi::Env env) const {
  if (uc_ == nullptr) throw MakeError(env, ErrorKind::Engine, "the emulator is closed: open another one");
  return uc_;
}

uc_err Emulator::Execute(uint64_t start) {
  executing_ = true;
  const uc_err code = libunicorn.emu_start(uc_, start, 0, 0, 0);
  executing_ = false;
  return code;
}

void Emulator::RefuseWhileRunning(Napi::Env env, const char* call) const {
  if (!running_) return;
  throw MakeError(env, ErrorKind::Engine,
                  std::string(call) + ": the emulator is running; a callback cannot do this: stop() first");
}
