// One thread that says when a slice of emulation is over. It lives as long as its engine, so that a short run pays for a
// store and not for a thread.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

class SliceTimer {
 public:
  using Clock = std::chrono::steady_clock;

  // `due` is set when the time is over.
  explicit SliceTimer(std::atomic<bool>& due);
  ~SliceTimer();
  SliceTimer(const SliceTimer&) = delete;
  SliceTimer& operator=(const SliceTimer&) = delete;

  void Arm(Clock::duration delay);
  // After this returns `due` is left alone.
  void Disarm();

 private:
  void Loop();

  std::atomic<bool>& due_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Clock::time_point deadline_{};
  // Until when the thread sleeps by itself; it must be woken for anything earlier.
  Clock::time_point asleep_until_ = Clock::time_point::max();
  bool armed_ = false;
  bool closing_ = false;
  std::thread thread_;
};
