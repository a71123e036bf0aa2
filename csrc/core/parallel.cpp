#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace deepgemm::parallel {
namespace {

// Why not OpenMP: libgomp's region ends with a barrier that waits for every thread of the team, so
// after milliseconds of idleness, or on a busy machine, a call waits for a worker that has not even
// woken up; and a child made by fork hangs in its first region. Here a job is finished as soon as
// its tasks are, whoever ran them.

constexpr int kMaxThreads = 1024;
// How long a worker polls before it sleeps: long enough to bridge the gap between two calls of a
// Python loop, short enough not to disturb whoever runs next.
constexpr int kPolls = 4000;

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Round to nearest, no flush-to-zero, all exceptions masked, restored afterwards: callers may have
// changed the control register (DESIGN section 5).
class FloatEnvironment {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  FloatEnvironment() : saved_(_mm_getcsr()) {
    if ((saved_ & ~kStatus) != kDefault) _mm_setcsr(kDefault);
  }
  ~FloatEnvironment() {
    if ((saved_ & ~kStatus) != kDefault) _mm_setcsr(saved_);
  }

 private:
  static constexpr unsigned kStatus = 0x3f;
  static constexpr unsigned kDefault = 0x1f80;
  unsigned saved_;
#elif defined(__aarch64__)
  FloatEnvironment() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    if (saved_ != 0) asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
  }
  ~FloatEnvironment() {
    if (saved_ != 0) asm volatile("msr fpcr, %0" : : "r"(saved_));
  }

 private:
  std::uint64_t saved_;
#endif
};

// One word that says which job is open, how many threads may join and how many tasks are unclaimed.
// A worker claims a task by decrementing it with compare-and-swap, so a claim can only succeed while
// that very job is open: late workers find another epoch or nothing left, and never touch its data.
struct Ticket {
  static constexpr int kTaskBits = 32;
  static constexpr int kLimitBits = 12;
  static std::uint64_t make(std::uint64_t epoch, int threads, std::int64_t tasks) {
    return epoch << (kTaskBits + kLimitBits) | static_cast<std::uint64_t>(threads) << kTaskBits |
           static_cast<std::uint64_t>(tasks);
  }
  static std::int64_t tasks(std::uint64_t t) { return static_cast<std::int64_t>(t & 0xffffffffu); }
  static int threads(std::uint64_t t) { return static_cast<int>(t >> kTaskBits & ((1u << kLimitBits) - 1)); }
};

// Keeps sleeping workers off the CPU that the caller runs on. Linux was seen to wake a worker on its
// caller's CPU while another one was idle, in about half of the calls after 300 ms of sleep on a virtual
// machine of two, and to leave it there for milliseconds, waiting for a caller that never sleeps: the
// product then ran on one thread. Larger teams rarely meet this, and moving many threads takes long.
class Placement {
 public:
#if defined(__linux__)
  void enter(int worker) {
    if (worker <= kMost) thread_[worker - 1].store(gettid_(), std::memory_order_release);
  }

  void keep_apart(int workers) {
    const int here = sched_getcpu();
    if (workers > kMost || here < 0 || here == avoided_) return;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) <= workers) return;
    CPU_CLR(here, &allowed);
    avoided_ = here;
    for (int w = 0; w < workers; ++w) {
      const pid_t thread = thread_[w].load(std::memory_order_acquire);
      // A thread that has not started yet is moved at a later call.
      if (thread == 0 || sched_setaffinity(thread, sizeof allowed, &allowed) != 0) avoided_ = -1;
    }
  }

 private:
  static constexpr int kMost = 8;
  static pid_t gettid_() { return static_cast<pid_t>(syscall(SYS_gettid)); }
  std::atomic<pid_t> thread_[kMost] = {};
  int avoided_ = -1;
#else
  void enter(int) {}
  void keep_apart(int) {}
#endif
};

class Pool {
 public:
  // Returns false when another caller's job is running: the caller then works alone.
  bool run(int threads, std::int64_t count, TaskFn fn, void* context) {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    grow(threads - 1);
    fn_ = fn;
    context_ = context;
    count_ = count;
    done_.store(0, std::memory_order_relaxed);
    ticket_.store(Ticket::make(++epoch_, threads, count), std::memory_order_seq_cst);
    // Bumping the signal before looking for sleepers pairs with the worker's "count itself, then
    // look at the signal": one of the two always sees the other.
    signal_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.exchange(0, std::memory_order_seq_cst) >
        0) {  // they are called once, however long they take
      placement_.keep_apart(static_cast<int>(workers_));
      signal_.notify_all();
    }
    work(0);
    for (int polls = 0; done_.load(std::memory_order_acquire) != count; ++polls) {
      if (polls < kPolls) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
    return true;
  }

 private:
  void grow(int workers) {
    while (static_cast<int>(workers_) < workers) {
      const int id = static_cast<int>(workers_) + 1;
      try {
        std::thread([this, id] { serve(id); }).detach();
      } catch (const std::system_error&) {
        return;  // no more threads to be had: the ones that exist do the work
      }
      ++workers_;
    }
  }

  // Claims and runs tasks of the open job until none are left.
  void work(int thread) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (Ticket::tasks(ticket) > 0 && thread < Ticket::threads(ticket)) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      {
        FloatEnvironment environment;
        fn_(context_, count_ - Ticket::tasks(ticket), thread);
      }
      done_.fetch_add(1, std::memory_order_release);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void serve(int thread) {
    placement_.enter(thread);
    for (;;) {
      const std::uint32_t seen = signal_.load(std::memory_order_seq_cst);
      work(thread);
      bool called = false;
      for (int polls = 0; polls < kPolls && !called; ++polls) {
        relax();
        called = signal_.load(std::memory_order_relaxed) != seen;
      }
      if (called) continue;
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      signal_.wait(seen, std::memory_order_seq_cst);
    }
  }

  std::mutex mutex_;
  Placement placement_;
  std::size_t workers_ = 0;
  std::uint64_t epoch_ = 0;
  TaskFn fn_ = nullptr;
  void* context_ = nullptr;
  std::int64_t count_ = 0;
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<std::int64_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> signal_{0};
  std::atomic<int> sleepers_{0};
};

// Never destroyed: its detached workers may outlive every static destructor.
std::atomic<Pool*> the_pool{nullptr};

#if defined(__unix__) || defined(__APPLE__)
// The workers do not exist in a forked child, and the mutex may have been held: start anew.
void after_fork_in_child() { the_pool.store(new Pool, std::memory_order_release); }
#endif

Pool& pool() {
  Pool* existing = the_pool.load(std::memory_order_acquire);
  if (existing != nullptr) return *existing;
  static std::once_flag once;
  std::call_once(once, [] {
    the_pool.store(new Pool, std::memory_order_release);
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
#endif
  });
  return *the_pool.load(std::memory_order_acquire);
}

std::atomic<int> process_threads{1};
thread_local int thread_threads = 0;

}  // namespace

void run(int threads, std::int64_t count, TaskFn fn, void* context) {
  threads = static_cast<int>(std::min<std::int64_t>(std::min(threads, kMaxThreads), count));
  if (threads > 1 && count < (std::int64_t{1} << Ticket::kTaskBits) &&
      pool().run(threads, count, fn, context)) {
    return;
  }
  FloatEnvironment environment;
  for (std::int64_t task = 0; task < count; ++task) fn(context, task, 0);
}

int process_limit() { return process_threads.load(std::memory_order_relaxed); }

void set_process_limit(int threads) {
  process_threads.store(std::clamp(threads, 1, kMaxThreads), std::memory_order_relaxed);
}

int set_thread_limit(int threads) {
  const int previous = thread_threads;
  thread_threads = std::clamp(threads, 0, kMaxThreads);
  return previous;
}

int limit() { return thread_threads > 0 ? thread_threads : process_limit(); }

std::int64_t task_count(int threads, std::int64_t work, std::int64_t work_per_task) {
  if (threads <= 1 || work < 2 * work_per_task) return 1;
  constexpr std::int64_t kTasksPerThread = 8;
  return std::clamp<std::int64_t>(work / work_per_task, 2, threads * kTasksPerThread);
}

}  // namespace deepgemm::parallel
