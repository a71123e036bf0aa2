// The one place for threads: a pool that splits outputs into tasks, survives fork and lets late
// workers stay away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace deepgemm::parallel {

// A task gets its number and the number of the thread that runs it (0 <= thread < threads), so that
// it can pick its own workspace. Which thread runs which task is unspecified; results never depend
// on it because tasks write disjoint outputs.
using TaskFn = void (*)(void* context, std::int64_t task, int thread);

// Runs tasks 0 <= task < count on at most `threads` threads, the caller among them, and returns when
// all of them are done. Floating-point control is set to the defaults for the duration of each task.
// Falls back to the calling thread when the pool is busy with another caller's job.
void run(int threads, std::int64_t count, TaskFn fn, void* context);

template <class F>
void run(int threads, std::int64_t count, F&& body) {
  using Body = std::remove_reference_t<F>;
  run(
      threads, count,
      [](void* context, std::int64_t task, int thread) { (*static_cast<Body*>(context))(task, thread); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// The number of threads that a product started by this thread may use: the calling thread's own limit
// where there is one, else that of the process.
int limit();
void set_process_limit(int threads);
int process_limit();
// The calling thread's own limit; 0 means none. Returns the previous value.
int set_thread_limit(int threads);

// How many tasks to cut `work` units (bytes, or multiply-adds) into: one below the serial threshold,
// else a few for each thread so that a late or slow thread costs little.
std::int64_t task_count(int threads, std::int64_t work, std::int64_t work_per_task);

}  // namespace deepgemm::parallel
