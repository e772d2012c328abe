// One emulator for JavaScript: the parts that it is made of, each behind its own file, and their methods by name.
#pragma once
#include <napi.h>

#include "anchor.h"
#include "copies.h"
#include "counting.h"
#include "dispatch.h"
#include "emulator.h"
#include "gate.h"
#include "hooks.h"
#include "javascript.h"
#include "memory.h"
#include "registers.h"
#include "ring.h"
#include "run.h"

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The engine behind a value that JavaScript gave; null when it is none.
  static Engine* From(const Napi::Value& value);
  // Arguments: architecture, modes, CPU model or undefined, five u64 words for the status of runs, whether
  // the guest's MMU is used.
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override { Shut(); }

  GuestMemory& memory() { return memory_; }

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Quirks(const Napi::CallbackInfo& info);
  void Shut();
  template <auto Part, auto Method>
  Napi::Value Ask(const Napi::CallbackInfo& info) {
    return (this->*Part.*Method)(info);
  }

  // In the order in which they are made. The dispatcher is told of by the hooks before it is there: they only keep where
  // it will be.
  Anchor anchor_;
  Gate gate_;
  Emulator emulator_;
  JavaScript javascript_;
  TranslatedCode code_;
  Registers registers_;
  GuestMemory memory_;
  Rings rings_;
  Copies copies_;
  Hooks hooks_;
  Counting counting_;
  Dispatcher dispatcher_;
  Runner runner_;
};
