// Sparse × sparse, row by row (Gustavson 1978): C[i,:] = sum over k of A[i,k] B[k,:], k ascending, so that
// each element is the stated chain.
//
// Rows are summed in an array of accumulators with one mark for each column, or, where that array would
// be much larger than the row, in a hash table. Marks come out in order, so nothing is sorted in the first
// case; the second sorts once for each row. A selection needs no order: where marks are few, columns are
// noted as they are met and marks are not searched at all.
//
// Counts for float32 and int32: per multiply-add 8 bytes of B and a read and a write of an accumulator;
// per line of 64 columns that was marked 64 bytes of marks read and cleared; per entry of C 8 bytes.

#include "core/spgemm_args.h"
#include "kernels/append-inl.h"
#include "kernels/chain-inl.h"
#include "kernels/pair_sort-inl.h"
#include "kernels/select-inl.h"
#include "simd/marks.h"

namespace deepgemm::DG_ISA {
namespace {

// ---- one row -------------------------------------------------------------------------------------

template <class Chain, class I, class Sink>
class Rows {
  using V = typename Chain::Value;
  using Slot = HashSlot<V>;

 public:
  Rows(const SpgemmArgs& args, SpgemmWorkspace& memory)
      : args_(args),
        a_indptr_(static_cast<const I*>(args.a_indptr)),
        a_indices_(static_cast<const I*>(args.a_indices)),
        b_begin_(static_cast<const I*>(args.b_begin)),
        b_end_(static_cast<const I*>(args.b_end)),
        b_indices_(static_cast<const I*>(args.b_indices)),
        a_values_(static_cast<const V*>(args.a_values)),
        b_values_(static_cast<const V*>(args.b_values)),
        memory_(memory),
        sums_(static_cast<V*>(memory.sums)),
        sink_(args, memory) {}

  void run(int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t work = args_.work[row + 1] - args_.work[row];
      if (work != 0) multiply(row, work);
      args_.row_entries[row] = sink_.close_row();
    }
    sink_.finish();
  }

 private:
  DG_INLINE void multiply(int64_t row, int64_t work) {
    from_ = a_indptr_[row];
    to_ = a_indptr_[row + 1];
    if (to_ - from_ == 1) {
      scaled();
      return;
    }
    const bool is_short = work < args_.hash_below;
    if (is_short && sums_ == nullptr) {
      hashed(work);
      return;
    }
    // A short row whose columns lie together is summed as well: in web graphs most do (cnr-2000).
    const Lines lines = lines_met();
    if (is_short && lines.count > kLinesPerStep * work) {
      hashed(work);
    } else {
      summed(work, lines);
    }
  }

  // A row with one entry of A: a row of B, scaled.
  void scaled() {
    const int64_t k = a_indices_[from_];
    const V a = a_values_[from_];
    for (int64_t q = b_begin_[k]; q < b_end_[k]; ++q) {
      sink_.take(b_indices_[q], Chain::step(a, b_values_[q], V{}));
    }
  }

  // ---- accumulators for all columns --------------------------------------------------------------

  // The lines of marks that a row may touch.
  struct Lines {
    int64_t first, count;
  };
  DG_INLINE Lines lines_met() const {
    int64_t first = INT64_MAX, last = 0;
    for (int64_t p = from_; p < to_; ++p) {
      const int64_t k = a_indices_[p], begin = b_begin_[k], end = b_end_[k];
      if (begin == end) continue;
      first = min64(first, b_indices_[begin]);
      last = last > b_indices_[end - 1] ? last : static_cast<int64_t>(b_indices_[end - 1]);
    }
    const int64_t first_line = first / kMarkedLine;
    return {first_line, last / kMarkedLine + 1 - first_line};
  }

  void summed(int64_t work, const Lines& lines) {
    const int64_t end_line = lines.first + lines.count;
    if (work >= kDenseSteps * lines.count) {
      add<false>();
      for (int64_t line = lines.first; line < end_line; ++line) take_line(line);
    } else if constexpr (!Sink::ordered) {
      noted();
    } else {
      if (lines.count <= kLinesPerStep * work) {
        add<false>();
        for (int64_t line = lines.first; line < end_line; ++line) note_line(line);
      } else {
        add<true>();
        note_groups(lines.first, end_line);
      }
      sink_.fetch(sums_);
    }
  }

  // Marking is a plain store of a byte: setting a bit would read and write a word, and neighbouring columns
  // would wait for each other; a list of new columns would need a branch for each step and a sort.
  template <bool Groups>
  DG_INLINE void add() {
    V* sums = sums_;
    uint8_t *marks = memory_.marks, *groups = memory_.groups;
    const I* columns = b_indices_;
    const V* values = b_values_;
    for (int64_t p = from_; p < to_; ++p) {
      const int64_t k = a_indices_[p], end = b_end_[k];
      const V a = a_values_[p];
      for (int64_t q = b_begin_[k]; q < end; ++q) {
        const int64_t column = columns[q];
        sums[column] = Chain::step(a, values[q], sums[column]);
        marks[column] = 1;
        if constexpr (Groups) groups[static_cast<uint64_t>(column) / kMarkedLine] = 1;
      }
    }
  }

  DG_INLINE void take_line(int64_t line) {
    uint8_t* marks = memory_.marks + line * kMarkedLine;
    const uint64_t mask = marked64(marks);
    if (mask == 0) return;
    memset(marks, 0, kMarkedLine);
    sink_.take_line(mask, line * kMarkedLine, sums_ + line * kMarkedLine);
  }

  DG_INLINE void note_line(int64_t line) {
    uint8_t* marks = memory_.marks + line * kMarkedLine;
    const uint64_t mask = marked64(marks);
    memset(marks, 0, kMarkedLine);
    sink_.note_line(mask, line * kMarkedLine);
  }

  void note_groups(int64_t first_line, int64_t end_line) {
    for (int64_t group = first_line & ~int64_t{kMarkedLine - 1}; group < end_line; group += kMarkedLine) {
      uint8_t* lines = memory_.groups + group;
      uint64_t mask = marked64(lines);
      if (mask == 0) continue;
      memset(lines, 0, kMarkedLine);
      for (; mask != 0; mask &= mask - 1) note_line(group + lowest_bit(mask));
    }
  }

  // Columns are noted when they are met first, without a branch: the place of one that is known is written
  // over by the next.
  void noted() {
    V* sums = sums_;
    uint8_t* marks = memory_.marks;
    I* met = static_cast<I*>(memory_.met);
    int64_t count = 0;
    for (int64_t p = from_; p < to_; ++p) {
      const int64_t k = a_indices_[p], end = b_end_[k];
      const V a = a_values_[p];
      for (int64_t q = b_begin_[k]; q < end; ++q) {
        const int64_t column = b_indices_[q];
        sums[column] = Chain::step(a, b_values_[q], sums[column]);
        met[count] = static_cast<I>(column);
        count += 1 - marks[column];
        marks[column] = 1;
      }
    }
    for (int64_t e = 0; e < count; ++e) {
      const int64_t column = met[e];
      const V value = sums[column];
      sums[column] = V{};
      marks[column] = 0;
      sink_.take(column, value);
    }
  }

  // ---- a hash table ------------------------------------------------------------------------------

  void hashed(int64_t work) {
    Slot* table = static_cast<Slot*>(memory_.table);
    int shift = 60;  // sixteen slots at least
    const int64_t most = min64(work, args_.columns);
    while ((int64_t{1} << (64 - shift)) < 2 * most) --shift;
    const uint64_t last = (uint64_t{1} << (64 - shift)) - 1;
    uint64_t* order = memory_.order;
    int64_t entries = 0;
    for (int64_t p = from_; p < to_; ++p) {
      const int64_t k = a_indices_[p];
      const V a = a_values_[p];
      for (int64_t q = b_begin_[k]; q < b_end_[k]; ++q) {
        const int64_t key = static_cast<int64_t>(b_indices_[q]) + 1;
        // Fibonacci hashing (Knuth, volume 3, 6.4): the high bits of a product by 2^64 / phi.
        uint64_t slot = static_cast<uint64_t>(key) * 0x9e3779b97f4a7c15u >> shift;
        while (table[slot].key != key && table[slot].key != 0) slot = (slot + 1) & last;
        if (table[slot].key == 0) {
          table[slot].key = key;
          order[2 * entries] = static_cast<uint64_t>(key);
          order[2 * entries++ + 1] = slot;
        }
        table[slot].sum = Chain::step(a, b_values_[q], table[slot].sum);
      }
    }
    if constexpr (Sink::ordered) order = sorted_pairs(order, entries);
    for (int64_t e = 0; e < entries; ++e) {
      Slot& slot = table[order[2 * e + 1]];
      sink_.take(slot.key - 1, slot.sum);
      slot = Slot{};
    }
  }

  // Multiply-adds for each line from which lines are looked at one by one, by vectors where they are full.
  static constexpr int64_t kDenseSteps = 8;
  // Lines to scan for each multiply-add up to which groups are not worth their extra store in each step.
  static constexpr int64_t kLinesPerStep = 1;

  const SpgemmArgs& args_;
  const I *a_indptr_, *a_indices_, *b_begin_, *b_end_, *b_indices_;
  const V *a_values_, *b_values_;
  SpgemmWorkspace& memory_;
  V* sums_;
  Sink sink_;
  int64_t from_ = 0, to_ = 0;  // entries of the row of A
};

// ---- the kernels ---------------------------------------------------------------------------------

template <class Chain, class I>
void csr_csr(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  using Sink = Append<typename Chain::Value, I, Chain::real>;
  Rows<Chain, I, Sink>(*static_cast<const SpgemmArgs*>(raw), *static_cast<SpgemmWorkspace*>(workspace))
      .run(begin, end);
}

template <class T, class I>
void csr_csr_top(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  Rows<RealChain<T>, I, Select<T, I>>(*static_cast<const SpgemmArgs*>(raw),
                                      *static_cast<SpgemmWorkspace*>(workspace))
      .run(begin, end);
}

}  // namespace
}  // namespace deepgemm::DG_ISA
