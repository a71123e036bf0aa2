// A counting sort in parts. Each part of the entries counts its keys, the counts become the places where
// that part writes its entries of each key, and the parts write. Counts for float32 and 32-bit indices,
// per entry: 8 bytes read in order, 8 written in as many streams as there are keys, 4 for counting.
//
// What did not help (nanoseconds per entry, two threads): buckets of neighbouring keys that fit into a
// cache, sorted one by one (2.1 to 5 against 0.5 to 3.8; they win 3.1 to 4.4 on uniformly random entries
// only); writing pairs of index and value and taking them apart afterwards (1.5 to 4.5); writing positions
// along with the values for those who re-weight (a third more; they are found when somebody does).
#include "core/transpose.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kEntriesPerTask = 1 << 14;
// Beyond this many bytes of written entries places are fetched ahead of their stores: 3.1 to 2.4
// nanoseconds an entry at 16 MB. Below, it costs up to as much again (copter2, 5.6 MB: 0.9 to 1.4).
constexpr std::int64_t kFetchBytes = 8 << 20;
constexpr std::int64_t kFetchAhead = 16;

inline void fetch(const void* place) {
#if defined(__GNUC__)
  __builtin_prefetch(place, 1);
#else
  (void)place;
#endif
}

struct Bytes16 {
  std::uint64_t half[2];
};

// What is moved with an entry.
template <class V>
struct Values {
  using Item = V;
  const V* from;
  V operator()(std::int64_t p) const { return from[p]; }
};
template <class I>
struct Positions {
  using Item = I;
  I operator()(std::int64_t p) const { return static_cast<I>(p); }
};

// Calls body with a value of the unsigned type, or the pair of them, of that size.
template <class Body>
void with_size(std::size_t size, const Body& body) {
  switch (size) {
    case 1:
      return body(std::uint8_t{});
    case 2:
      return body(std::uint16_t{});
    case 4:
      return body(std::uint32_t{});
    case 8:
      return body(std::uint64_t{});
    default:
      return body(Bytes16{});
  }
}

template <class I>
struct Sort {
  const Entries& entries;
  I* indptr;
  I* other;
  I* places;  // for each part and key: how many entries, then where the next one goes
  std::int64_t parts;
  int threads;

  const I* key() const { return static_cast<const I*>(entries.key); }
  I* places_of(std::int64_t part) const { return places + part * entries.keys; }
  std::int64_t first(std::int64_t part) const { return entries.count * part / parts; }

  void count() const {
    parallel::run(threads, parts, [&](std::int64_t part, int) {
      I* counts = places_of(part);
      std::fill(counts, counts + entries.keys, I{0});
      for (std::int64_t p = first(part); p < first(part + 1); ++p) ++counts[key()[p]];
    });
  }

  // Turns counts into places, a range of keys at a time.
  void place() const {
    const std::int64_t ranges =
        std::min(parallel::task_count(threads, entries.keys * parts, kEntriesPerTask), entries.keys);
    const auto range = [&](std::int64_t task) { return entries.keys * task / ranges; };
    // The number of entries of a range, where the range begins in indptr.
    parallel::run(threads, ranges, [&](std::int64_t task, int) {
      I sum = 0;
      for (std::int64_t part = 0; part < parts; ++part) {
        for (std::int64_t k = range(task); k < range(task + 1); ++k)
          sum = static_cast<I>(sum + places_of(part)[k]);
      }
      indptr[range(task)] = sum;
    });
    I start = 0;
    for (std::int64_t task = 0; task < ranges; ++task) {
      const I sum = indptr[range(task)];
      indptr[range(task)] = start;
      start = static_cast<I>(start + sum);
    }
    indptr[entries.keys] = start;
    parallel::run(threads, ranges, [&](std::int64_t task, int) {
      I next = indptr[range(task)];
      for (std::int64_t k = range(task); k < range(task + 1); ++k) {
        indptr[k] = next;
        for (std::int64_t part = 0; part < parts; ++part) {
          const I here = places_of(part)[k];
          places_of(part)[k] = next;
          next = static_cast<I>(next + here);
        }
      }
    });
  }

  template <class Moved>
  void move(const Moved& moved, void* target) const {
    auto* to = static_cast<typename Moved::Item*>(target);
    const bool ahead = entries.count * static_cast<std::int64_t>(sizeof(I) + sizeof(*to)) > kFetchBytes;
    parallel::run(threads, parts, [&](std::int64_t part, int) {
      if (ahead) {
        move_part<true>(part, moved, to);
      } else {
        move_part<false>(part, moved, to);
      }
    });
  }

  template <bool Ahead, class Moved>
  void move_part(std::int64_t part, const Moved& moved, typename Moved::Item* to) const {
    I* next = places_of(part);
    const std::int64_t begin = first(part), end = first(part + 1);
    const auto put = [&](std::int64_t p, I index) {
      if constexpr (Ahead) {
        const I soon = next[key()[std::min(p + kFetchAhead, end - 1)]];
        fetch(other + soon);
        fetch(to + soon);
      }
      const I q = next[key()[p]]++;
      other[q] = index;
      to[q] = moved(p);
    };
    if (entries.other != nullptr) {
      const I* index = static_cast<const I*>(entries.other);
      for (std::int64_t p = begin; p < end; ++p) put(p, index[p]);
      return;
    }
    const I* starts = static_cast<const I*>(entries.indptr);
    std::int64_t line = std::upper_bound(starts, starts + entries.lines + 1, begin) - starts - 1;
    for (std::int64_t p = begin; p < end; ++line) {
      const std::int64_t stop = std::min<std::int64_t>(starts[line + 1], end);
      for (; p < stop; ++p) put(p, static_cast<I>(line));
    }
  }
};

// Parts write side by side, so each costs the counters of all keys: not more of them than entries.
std::int64_t part_count(const Entries& entries, int threads) {
  if (parallel::task_count(threads, entries.count, kEntriesPerTask) <= 1) return 1;
  const std::int64_t most = entries.count / std::max<std::int64_t>(entries.keys, 1);
  return std::clamp<std::int64_t>(most, 1, threads);
}

template <class I>
Status sort_typed(const Entries& entries, void* indptr, void* other, void* moved, int threads) {
  const std::int64_t parts = part_count(entries, threads);
  const Workspace memory(static_cast<std::size_t>(parts * entries.keys) * sizeof(I));
  if (memory.data() == nullptr) return Status::no_memory;
  const Sort<I> sort{
      entries, static_cast<I*>(indptr), static_cast<I*>(other), static_cast<I*>(memory.data()), parts,
      threads};
  if (entries.keys == 0) {
    sort.indptr[0] = 0;
    return Status::ok;
  }
  sort.count();
  sort.place();
  if (entries.values == nullptr) {
    sort.move(Positions<I>{}, moved);
  } else {
    with_size(entries.size, [&](auto item) {
      using V = decltype(item);
      sort.move(Values<V>{static_cast<const V*>(entries.values)}, moved);
    });
  }
  return Status::ok;
}

template <class I, class V>
void gather_typed(const V* from, const I* positions, std::int64_t count, V* to, int threads) {
  const std::int64_t tasks = parallel::task_count(threads, count, kEntriesPerTask);
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t end = count * (task + 1) / tasks;
    for (std::int64_t q = count * task / tasks; q < end; ++q) to[q] = from[positions[q]];
  });
}

}  // namespace

Status sort_by_key(const Entries& entries, void* indptr, void* other, void* moved, int threads) {
  return entries.index_type == IndexType::i32
             ? sort_typed<std::int32_t>(entries, indptr, other, moved, threads)
             : sort_typed<std::int64_t>(entries, indptr, other, moved, threads);
}

void gather(const void* from, const void* positions, IndexType type, std::int64_t count, std::size_t size,
            void* to, int threads) {
  with_size(size, [&](auto item) {
    using V = decltype(item);
    if (type == IndexType::i32) {
      gather_typed(static_cast<const V*>(from), static_cast<const std::int32_t*>(positions), count,
                   static_cast<V*>(to), threads);
    } else {
      gather_typed(static_cast<const V*>(from), static_cast<const std::int64_t*>(positions), count,
                   static_cast<V*>(to), threads);
    }
  });
}

}  // namespace deepgemm
