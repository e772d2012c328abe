#include "timer.h"

SliceTimer::SliceTimer(std::atomic<bool>& due) : due_(due), thread_([this] { Loop(); }) {}

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
    } else {
      due_.store(true, std::memory_order_relaxed);
      armed_ = false;
    }
  }
}
