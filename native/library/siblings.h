// Attachments on one emulator know of each other: the process keeps one list, since an emulator has no place for it.
#pragma once
#include "attachment.h"

class Siblings {
 public:
  static void Add(UsercopyAttachment* attachment);
  static void Remove(UsercopyAttachment* attachment);
  // The arrival that `attachment` is at will come once more: to the others that saw it, it is the same one.
  static void ExpectRepeat(UsercopyAttachment* attachment, uint64_t address);
  // It has come. Unicorn may not call the others then: those that wait for it too have stopped the guest as well.
  static void Settle(UsercopyAttachment* attachment, uint64_t address);

 private:
  template <typename Work>
  static void ForOthers(UsercopyAttachment* attachment, Work work);
};
