// One emulator. The callbacks of libunicorn run C code compiled at run time above them: no C++ exception may leave them,
// so an error in a callback is kept (`failure_`), the emulation is stopped, and the error is thrown by the run.
#pragma once
#include <napi.h>
#include <unicorn/unicorn.h>

#include <atomic>
#include <cstring>
#include <map>
#include <set>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "counter.h"
#include "errors.h"
#include "hooks.h"
#include "ring.h"
#include "names.h"
#include "timer.h"

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The engine behind a value that JavaScript gave; null when it is none.
  static Engine* From(const Napi::Value& value);
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

  // engine.cc
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);

  // registers.cc
  Napi::Value ReadRegister(const Napi::CallbackInfo& info);
  Napi::Value WriteRegister(const Napi::CallbackInfo& info);
  Napi::Value ReadRegisters(const Napi::CallbackInfo& info);

  // memory.cc
  Napi::Value Map(const Napi::CallbackInfo& info);
  Napi::Value MapShared(const Napi::CallbackInfo& info);
  Napi::Value Unmap(const Napi::CallbackInfo& info);
  Napi::Value Regions(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value DropCode(const Napi::CallbackInfo& info);

  // hooks.cc: each answers the hook's id
  Napi::Value AddAddressHook(const Napi::CallbackInfo& info);
  Napi::Value AddCopyHook(const Napi::CallbackInfo& info);
  Napi::Value RemoveAddressHook(const Napi::CallbackInfo& info);
  Napi::Value AddBlockHook(const Napi::CallbackInfo& info);
  Napi::Value AddFaultHook(const Napi::CallbackInfo& info);
  Napi::Value AddInterruptHook(const Napi::CallbackInfo& info);
  Napi::Value AddReadHook(const Napi::CallbackInfo& info);
  Napi::Value AddInstructionHook(const Napi::CallbackInfo& info);
  Napi::Value RemoveEventHook(const Napi::CallbackInfo& info);

  // run.cc
  Napi::Value Slice(const Napi::CallbackInfo& info);

  // counting.cc
  Napi::Value InstructionCount(const Napi::CallbackInfo& info);
  Napi::Value CycleCount(const Napi::CallbackInfo& info);
  Napi::Value ChargeCycles(const Napi::CallbackInfo& info);

  // ring.cc
  Napi::Value OpenRing(const Napi::CallbackInfo& info);
  Napi::Value CloseRing(const Napi::CallbackInfo& info);
  Napi::Value FlushRing(const Napi::CallbackInfo& info);

  // memory.cc
  // Guest bytes as they are; false when not all are mapped, or the emulator is closed.
  bool ReadMemory(uint64_t address, uint32_t length, uint8_t* to);

  // context.cc
  Napi::Value Save(const Napi::CallbackInfo& info);
  Napi::Value Restore(const Napi::CallbackInfo& info);

 private:
  // What has been done already for the arrival at the address where a run goes on.
  struct Resume {
    bool valid = false;
    uint64_t address = 0;
    // The block that starts here has been counted and its callbacks called.
    bool block_done = false;
    // Hooks up to this id have fired (the engine itself interrupted the run), …
    uint64_t fired = 0;
    // … and copy hooks up to this one have judged (also when a person stopped it).
    uint64_t judged = 0;
  };

  // The run ends before the instruction at the address when so many have been executed there.
  struct Limit {
    uint64_t address;
    uint64_t instructions;
    bool operator==(const Limit& other) const {
      return address == other.address && instructions == other.instructions;
    }
    bool operator!=(const Limit& other) const { return !(*this == other); }
  };

  // What a block must not be passed over quickly for, in one word.
  struct alignas(8) Attention {
    // The slice is over; set by the timer's thread.
    std::atomic<bool> due{false};
    bool stop = false;
    bool failed = false;
    // Translated code is wrong.
    bool flush = false;
    // The emulation has been told to end.
    bool leaving = false;
    // Every block is told to a callback, or limited.
    bool all_blocks = false;
    bool unused[2] = {};

    bool Any() const {
      uint64_t word;
      static_assert(sizeof word == sizeof *this);
      std::memcpy(&word, static_cast<const void*>(this), sizeof word);
      return word != 0;
    }
  };

  struct SharedRegion {
    uint64_t address;
    uint64_t size;
    uint64_t offset;
    uint8_t* pointer;
    Napi::ObjectReference memory;
    Napi::ObjectReference buffer;
  };

  // engine.cc
  void Open(Napi::Env env);
  void Shut();
  uc_engine* Live(Napi::Env env);
  // Typed error when a run is under way.
  void RefuseWhileRunning(const char* call);

  // registers.cc
  uint64_t ReadRaw(int id);
  uc_err WriteRaw(int id, uint64_t value);
  bool IsProgramCounter(int id) const;
  // A register of at most 64 bits: others would be stored beyond their slot.
  int FindWordRegister(Napi::Env env, const std::string& name);
  uint64_t ProgramCounter();
  // Sets the pc as Unicorn wants it: with the Thumb bit where the CPU is in that state.
  void SetProgramCounter(uint64_t address);
  uint64_t StartAddress(uint64_t address);
  bool InThumbState();
  uint64_t WithoutThumbBit(uint64_t address) const;

  // memory.cc
  void DropRange(uint64_t address, uint64_t length);
  void DropAll();
  void DropOrphans();
  void NoteCode(uint64_t address, uint64_t size);
  bool IsMapped(uint64_t address, uint64_t length);
  void VerifySharedMemory(Napi::Env env);

  // hooks.cc
  AddressRecord& RecordAt(Napi::Env env, uint64_t address);
  uc_err AttachToBlock(AddressRecord& record);
  void UninstallRecord(AddressRecord& record);
  void ReleaseRecordIfEmpty(uint64_t address);
  void UpgradeRecords();
  void SetUntil(Napi::Env env, uint64_t address);
  Napi::Value AddEvent(const Napi::CallbackInfo& info, EventList& list, int type, void* callback);
  void SetInstructionHook(bool on);
  void SetBlockHook(bool on);
  void SweepHooks();

  // dispatch.cc: callbacks of libunicorn
  static void OnRecord(uc_engine*, uint64_t address, uint32_t size, void* record);
  static void OnBlock(uc_engine*, uint64_t address, uint32_t size, void* engine);
  static void OnInstruction(uc_engine*, uint64_t address, uint32_t size, void* engine);
  static bool OnFault(uc_engine*, uc_mem_type type, uint64_t address, int size, int64_t value, void* engine);
  static void OnInterrupt(uc_engine*, uint32_t number, void* engine);
  static void OnRead(uc_engine*, uc_mem_type, uint64_t address, int size, int64_t, void* engine);
  static void OnTranslated(uc_engine*, uc_tb* current, uc_tb* previous, void* engine);
  static void OnPrime(uc_engine*, uint64_t address, uint32_t size, void* engine);

  void EnterBlock(uint64_t address, uint32_t size);
  void TellOfInstruction(uint64_t address, uint32_t size);
  // False when the run leaves this place: the instruction at the address will not be executed now.
  bool Arrive(AddressRecord& record, bool at_block);
  bool Fire(AddressRecord& record, AddressHook& hook);
  bool FireCopy(CopyRequest& request);
  bool FireNative(CopyRequest& request);
  void ReadRequest(CopyRequest& request);
  // Whether the guest goes on in this arrival: `function` answers 'stop' or 'continue'.
  bool AskHowToGoOn(napi_value function, napi_value argument);
  bool Call(napi_value function, size_t count, const napi_value* arguments, napi_value* result);
  void Fail(napi_value error);
  void Leave(uint64_t address);
  bool FinishArrival(const Resume& done);
  bool FindRequest(CopyRequest& request);

  // ring.cc
  bool FindRing(RequestRing& ring);
  bool Append(CopyRequest& request);
  bool LoseRing();
  bool JudgeRing(RequestRing& ring);
  bool JudgeRings();

  // counting.cc
  void StartCounting(const Napi::Object& options);
  // A block as it is translated.
  void Learn(const uc_tb& block);
  Block& LearnBlock(uint64_t address, uint32_t size, std::optional<uint16_t> instructions);
  std::vector<uint8_t> ReadCode(uint64_t address, uint32_t size);
  Block& Known(uint64_t address, uint32_t size);
  // Counts a block that is about to be executed, or leaves before it.
  void CountBlock(uint64_t address, uint32_t size);
  bool Price(Block& block);
  std::optional<Limit> LimitFor(const Block& block);
  Limit BeforeItBlock(const Block& block, Limit limit);
  bool HasDelaySlot(uint64_t address);
  bool MayLeaveAt(uint64_t address, uint32_t size);
  // Before a block, when it is known how the one before it was left: whether a limit is reached.
  bool Spent(uint64_t address, uint32_t size);
  void PlaceLimit();
  void DropLimit();
  void CountException(uc_err code);
  void WindBackToAccess();
  void PublishCounts();

  // run.cc
  Napi::Value ThrowFailure(Napi::Env env);
  int Run(Napi::Env env, uint64_t start);
  uc_err Prime(uint64_t start);

  uc_engine* uc_ = nullptr;
  uc_arch arch_ = UC_ARCH_MAX;
  uc_mode mode_ = UC_MODE_LITTLE_ENDIAN;
  int pc_ = -1;
  std::unique_ptr<RegisterNames> registers_;
  // u64 words shared with TypeScript: pc, error code, instructions, how many more there may be, cycles (an f64).
  Napi::ObjectReference status_reference_;
  uint64_t* status_ = nullptr;

  std::vector<SharedRegion> shared_;

  uint64_t next_hook_ = 1;
  std::map<uint64_t, std::unique_ptr<AddressRecord>> records_;
  std::vector<std::unique_ptr<AddressRecord>> retired_;
  std::map<uint64_t, std::shared_ptr<RequestRing>> rings_;
  std::vector<uint64_t> to_upgrade_;
  AddressFilter block_records_;
  size_t code_records_ = 0;
  // libunicorn unlinks a removed hook only at the end of a run.
  bool code_hook_lingers_ = false;
  EventList blocks_;
  EventList faults_;
  EventList interrupts_;
  EventList reads_;
  EventList instructions_;
  uc_hook block_hook_ = 0;
  uc_hook instruction_hook_ = 0;
  uc_hook translation_hook_ = 0;
  bool primed_ = false;
  // Some translated code is not found by its physical address.
  bool orphans_ = false;
  // Some code may have been translated.
  bool translated_ = false;
  // Pages (numbers) that hold code which may have been translated.
  std::set<uint64_t> code_pages_;
  std::optional<uint64_t> until_;
  Counter counter_;
  Napi::FunctionReference pricer_;

  // One run.
  bool running_ = false;
  bool in_emulation_ = false;
  Resume resume_;
  bool counting_ = false;
  bool pricing_ = false;
  // Inside a block: where the hook for the instruction limit is, and where it must be put.
  std::optional<Limit> limit_;
  std::optional<Limit> limit_wanted_;
  // Where the emulation was left. 2.0.1: the pc is that of an earlier block when any UC_HOOK_CODE exists, and on s390x
  // that of the block when it was left in its middle.
  std::optional<uint64_t> left_at_;
  // The end of the block before, while the run looks for a place to end at.
  std::optional<uint64_t> watched_end_;
  std::optional<uint64_t> blocks_left_;
  bool timed_ = false;
  bool reached_until_ = false;
  bool reached_block_limit_ = false;
  bool reached_instruction_limit_ = false;
  bool reached_cycle_limit_ = false;
  // Grows whenever JavaScript may have run: a WebAssembly.Memory may have grown then.
  uint64_t javascript_turns_ = 1;
  Napi::ObjectReference failure_;
  // While a callback runs: where the guest is, and where the callback wants it to go on.
  std::optional<uint64_t> callback_pc_;
  std::optional<uint64_t> wanted_pc_;

  Attention attention_;
  bool Interrupted() const {
    return attention_.due.load(std::memory_order_relaxed) || attention_.stop || attention_.failed || attention_.flush;
  }
  std::unique_ptr<SliceTimer> timer_;
};

