// The largest entries of a row: few of them in order of rank, many in a heap whose root is the first to go.

#include "core/spgemm_args.h"
#include "kernels/common-inl.h"
#include "simd/marks.h"

namespace deepgemm::DG_ISA {
namespace {

// The stated ranking: larger values first, nan behind all numbers, the lower column first among equals.
template <class T>
DG_INLINE bool ranks_before(const Ranked<T>& a, const Ranked<T>& b) {
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan || b_nan) return a_nan == b_nan ? a.column < b.column : b_nan;
  return a.value > b.value || (a.value == b.value && a.column < b.column);
}

template <class T>
void sink_root(Ranked<T>* heap, int64_t count) {
  const Ranked<T> moved = heap[0];
  int64_t place = 0;
  for (int64_t child = 1; child < count; child = 2 * place + 1) {
    if (child + 1 < count && ranks_before(heap[child], heap[child + 1])) ++child;
    if (!ranks_before(moved, heap[child])) break;
    heap[place] = heap[child];
    place = child;
  }
  heap[place] = moved;
}

template <class T>
void rise(Ranked<T>* heap, int64_t place) {
  const Ranked<T> moved = heap[place];
  while (place > 0 && ranks_before(heap[(place - 1) / 2], moved)) {
    heap[place] = heap[(place - 1) / 2];
    place = (place - 1) / 2;
  }
  heap[place] = moved;
}

// Takes the entries of one row, in any order, and gives the best of them by rank.
template <class T, class I>
class Select {
 public:
  static constexpr bool ordered = false;  // whether it wants a row by ascending column

  Select(const SpgemmArgs& args, SpgemmWorkspace& memory)
      : heap_(static_cast<Ranked<T>*>(memory.best)),
        columns_(static_cast<I*>(memory.columns)),
        values_(static_cast<T*>(memory.values)),
        memory_(memory),
        most_(args.most),
        threshold_(static_cast<T>(args.threshold)),
        has_threshold_(args.has_threshold) {
    open();
  }

  DG_INLINE void take(int64_t column, T value) {
    if (!takes_all_ && !(value >= floor_)) return;
    add({value, column});
  }

  // The marked accumulators of one line, which come in ascending columns: an equal value comes too late.
  DG_INLINE void take_line(uint64_t mask, int64_t column, T* sums) {
    using P = Packer<T, I>;
    if constexpr (P::lanes > 0) {
      if (count_bits(mask) > kWorthComparing) {
        for (int lane = 0; lane < 64; lane += P::lanes) {
          uint32_t part = static_cast<uint32_t>(mask >> lane) & ((1u << P::lanes) - 1);
          if (!takes_all_) part &= P::above(sums + lane, floor_);
          for (; part != 0; part &= part - 1) {
            const int bit = lane + lowest_bit(part);
            if (takes_all_ || sums[bit] > floor_) add({sums[bit], column + bit});
          }
          P::clear(sums + lane);
        }
        return;
      }
    }
    for (; mask != 0; mask &= mask - 1) {
      const int bit = lowest_bit(mask);
      const T value = sums[bit];
      sums[bit] = T(0);
      if (takes_all_ || value > floor_) add({value, column + bit});
    }
  }

  int64_t close_row() {
    const int64_t kept = count_;
    if (most_ > kMostInOrder) {
      for (int64_t i = kept - 1; i > 0; --i) {  // the root is the last in rank
        const Ranked<T> root = heap_[0];
        heap_[0] = heap_[i];
        heap_[i] = root;
        sink_root(heap_, i);
      }
    }
    for (int64_t i = 0; i < kept; ++i) {
      columns_[written_ + i] = static_cast<I>(heap_[i].column);
      values_[written_ + i] = heap_[i].value;
    }
    written_ += kept;
    open();
    return kept;
  }

  void finish() { memory_.entries = written_; }

 private:
  void open() {
    count_ = 0;
    floor_ = threshold_;
    takes_all_ = !has_threshold_ && most_ > 0;
  }

  void add(const Ranked<T>& entry) {
    if (has_threshold_ && !(entry.value > threshold_)) return;
    if (most_ <= kMostInOrder) {
      add_in_order(entry);
    } else if (count_ < most_) {
      heap_[count_] = entry;
      rise(heap_, count_++);
    } else if (ranks_before(entry, heap_[0])) {
      heap_[0] = entry;
      sink_root(heap_, count_);
    }
    if (count_ == most_ && count_ > 0) {
      floor_ = heap_[most_ <= kMostInOrder ? most_ - 1 : 0].value;
      takes_all_ = floor_ != floor_;
    }
  }

  DG_INLINE void add_in_order(const Ranked<T>& entry) {
    if (count_ < most_) {
      ++count_;
    } else if (most_ == 0 || !ranks_before(entry, heap_[most_ - 1])) {
      return;
    }
    int64_t place = count_ - 1;
    for (; place > 0 && ranks_before(entry, heap_[place - 1]); --place) heap_[place] = heap_[place - 1];
    heap_[place] = entry;
  }

  // Comparing and clearing a line of vectors takes about as long as so many single entries. Comparing
  // lines of one entry each took 1.9 times as long (7000 x 7000, 49 entries in a row of the product, k = 10).
  static constexpr int kWorthComparing = 4;
  // Up to here moving entries within the order beats a heap, which has to be sorted in the end besides
  // (k = 10, 95 entries in a row: 1.05 ms against 1.26).
  static constexpr int64_t kMostInOrder = 32;

  Ranked<T>* heap_;
  I* columns_;
  T* values_;
  SpgemmWorkspace& memory_;
  int64_t most_, count_ = 0, written_ = 0;
  T threshold_, floor_ = T(0);  // values below the floor cannot be kept, unless all are taken
  bool has_threshold_, takes_all_ = false;
};

}  // namespace
}  // namespace deepgemm::DG_ISA
