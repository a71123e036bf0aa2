// Copies that turn columns into rows, in squares of registers: 4 bytes read and written for each float,
// and log2(width) shuffles for each vector.

#include "core/copy_args.h"
#include "kernels/common-inl.h"
#include "simd/transpose.h"

namespace deepgemm::DG_ISA {
namespace {

// So many rows before the next columns: whole lines of `from` follow each other in each of few columns, which
// is what memory likes, and the rows of `to` that are being filled stay in L2. Columns in memory, one thread,
// float32, bytes read and written: 11 to 14 GB/s with 64 rows, 20 with 1024, and 20 to 27 where a few lines
// of each column are asked for ahead; in caches all are level (60 to 75).
constexpr int64_t kTurnRows = 1024;
constexpr int64_t kTurnAheadBytes = 256;

// A square of width × width, of which `rows` × `cols` exist.
template <class T, class V, bool Whole>
DG_INLINE void turn_square(const T* from, int64_t from_stride, T* to, int64_t to_stride, int rows, int cols) {
  typename V::vec square[V::width];
  DG_UNROLL
  for (int c = 0; c < V::width; ++c) {
    if constexpr (Whole) {
      square[c] = V::load(from + c * from_stride);
      DG_PREFETCH(reinterpret_cast<const char*>(from + c * from_stride) + kTurnAheadBytes);
    } else {
      square[c] = c < cols ? V::load_n(from + c * from_stride, rows) : V::zero();
    }
  }
  transpose(square);
  DG_UNROLL
  for (int r = 0; r < V::width; ++r) {
    if constexpr (Whole) {
      V::store(to + r * to_stride, square[r]);
    } else {
      if (r < rows) V::store_n(to + r * to_stride, square[r], cols);
    }
  }
}

template <class T, class V>
DG_INLINE void turn_bands(const TurnArgs& args, int64_t begin, int64_t end) {
  constexpr int W = V::width;
  for (int64_t band = 0; band < args.rows; band += kTurnRows) {
    const int64_t last = min64(band + kTurnRows, args.rows);
    for (int64_t c = begin; c < end; c += W) {
      const int cols = static_cast<int>(min64(W, end - c));
      for (int64_t r = band; r < last; r += W) {
        const T* from = static_cast<const T*>(args.from) + c * args.from_stride + r;
        T* to = static_cast<T*>(args.to) + r * args.to_stride + c;
        const int rows = static_cast<int>(min64(W, last - r));
        if (rows == W && cols == W) {
          turn_square<T, V, true>(from, args.from_stride, to, args.to_stride, W, W);
        } else {
          turn_square<T, V, false>(from, args.from_stride, to, args.to_stride, rows, cols);
        }
      }
    }
  }
}

// Rows of `to` that lie multiples of a page apart share one set of L1, which cannot hold the lines of a
// square until the next one completes them. They are filled from rows near each other (2,048 floats apart: 58
// GB/s instead of 25 to 33; other distances lose a fifth by it).
constexpr int64_t kSetBytes = 4096;

template <class T, class V>
void turn_by_near_rows(const TurnArgs& args, int64_t begin, int64_t end) {
  constexpr int64_t columns = 1024 / sizeof(T), stride = columns + V::width;
  alignas(64) T near[V::width * stride];
  for (int64_t r = 0; r < args.rows; r += V::width) {
    for (int64_t c = begin; c < end; c += columns) {
      const int64_t rows = min64(V::width, args.rows - r), cols = min64(columns, end - c);
      const T* from = static_cast<const T*>(args.from) + c * args.from_stride + r;
      turn_bands<T, V>({from, args.from_stride, near, stride, rows}, 0, cols);
      for (int64_t i = 0; i < rows; ++i) {
        T* to = static_cast<T*>(args.to) + (r + i) * args.to_stride + c;
        int64_t done = 0;
        for (; done + V::width <= cols; done += V::width)
          V::store(to + done, V::load(near + i * stride + done));
        const int tail = static_cast<int>(cols - done);
        V::store_n(to + done, V::load_n(near + i * stride + done, tail), tail);
      }
    }
  }
}

template <class T>
void dense_turn(const void* raw, int64_t begin, int64_t end, int, void*) {
  const TurnArgs& args = *static_cast<const TurnArgs*>(raw);
  if (args.to_stride * static_cast<int64_t>(sizeof(T)) % kSetBytes == 0) {
    turn_by_near_rows<T, Simd<T>>(args, begin, end);
  } else if (min64(args.rows, end - begin) <= HalfSimd<T>::width) {
    turn_bands<T, HalfSimd<T>>(args, begin, end);
  } else {
    turn_bands<T, Simd<T>>(args, begin, end);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
