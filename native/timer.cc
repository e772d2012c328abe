#include "timer.h"

using std::chrono::microseconds;
using std::chrono::milliseconds;

SliceTimer::SliceTimer(std::atomic<bool>& due, std::function<void()> nudge)
    : due_(due), nudge_(std::move(nudge)), thread_([this] { Loop(); }) {}

SliceTimer::~SliceTimer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void SliceTimer::Arm(Clock::duration delay) {
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    deadline_ = Clock::now() + delay;
    armed_ = true;
    wake = deadline_ < asleep_until_;
  }
  if (wake) changed_.notify_one();
}

void SliceTimer::Disarm() {
  const std::lock_guard<std::mutex> lock(mutex_);
  armed_ = false;
}

void SliceTimer::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!closing_) {
    if (!armed_) {
      asleep_until_ = Clock::time_point::max();
      changed_.wait(lock);
    } else if (Clock::now() < deadline_) {
      // Not woken when a run ends: the next run usually begins before this deadline and needs no system call then.
      asleep_until_ = deadline_;
      changed_.wait_until(lock, deadline_);
    } else if (!due_.exchange(true)) {
      deadline_ += microseconds(50);
    } else {
      nudge_();
      deadline_ = Clock::now() + milliseconds(1);
    }
  }
}
