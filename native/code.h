// Code that has been translated, and how it is dropped: whatever changes what a block does must drop it.
#pragma once
#include <cstdint>
#include <set>

#include "emulator.h"

class TranslatedCode {
 public:
  explicit TranslatedCode(Emulator& emulator) : emulator_(emulator) {}

  // A block was translated, or may have been.
  void Note(uint64_t address, uint64_t size);
  // The callback for a fetch mapped its page.
  void NoteOrphan() { orphans_ = true; }
  // From here on there may be translated code.
  void Start() { started_ = true; }

  void Drop(uint64_t address, uint64_t length);
  void DropAll();
  // Grows with each of these.
  uint64_t drops() const { return drops_; }
  // The range is not mapped any more.
  void Forget(uint64_t address, uint64_t size);
  // The emulator is closed.
  void Release() { pages_.clear(); }

 private:
  void DropOrphans();

  Emulator& emulator_;
  bool started_ = false;
  uint64_t drops_ = 0;
  // Some translated code is not found by its physical address.
  bool orphans_ = false;
  // Pages (numbers) that hold code which may have been translated.
  std::set<uint64_t> pages_;
};
