#include "siblings.h"

#include <algorithm>
#include <mutex>

namespace {

// Guarded by its mutex; entries are valid from an attachment's start to its end.
struct List {
  std::mutex mutex;
  std::vector<UsercopyAttachment*> attachments;
};

List& All() {
  // Never destroyed: attachments may be freed while the process ends.
  static List* const list = new List;
  return *list;
}

}  // namespace

void Siblings::Add(UsercopyAttachment* attachment) {
  List& list = All();
  const std::lock_guard<std::mutex> lock(list.mutex);
  for (UsercopyAttachment* other : list.attachments) {
    if (other->uc_ != attachment->uc_) continue;
    for (UsercopyAttachment* one : {other, attachment}) one->has_siblings_ = one->attention_ = true;
  }
  list.attachments.push_back(attachment);
}

void Siblings::Remove(UsercopyAttachment* attachment) {
  List& list = All();
  const std::lock_guard<std::mutex> lock(list.mutex);
  auto& all = list.attachments;
  all.erase(std::remove(all.begin(), all.end(), attachment), all.end());
}

template <typename Work>
void Siblings::ForOthers(UsercopyAttachment* attachment, Work work) {
  if (!attachment->has_siblings_) return;
  List& list = All();
  const std::lock_guard<std::mutex> lock(list.mutex);
  for (UsercopyAttachment* other : list.attachments) {
    if (other != attachment && other->uc_ == attachment->uc_) work(*other);
  }
}

void Siblings::ExpectRepeat(UsercopyAttachment* attachment, uint64_t address) {
  ForOthers(attachment, [address](UsercopyAttachment& other) {
    other.repeats_ = other.seen_ != nullptr && other.seen_->address == address;
  });
}

void Siblings::Settle(UsercopyAttachment* attachment, uint64_t address) {
  ForOthers(attachment, [address](UsercopyAttachment& other) {
    Place* const place = other.settling_;
    if (place != nullptr && place->address == address) {
      other.Settled(*place);
    } else if (other.passed_ != nullptr && other.passed_->address == address) {
      // It was let pass, and can be once more.
      other.stopped_ = other.passed_;
    }
    other.repeats_ = false;
  });
}
