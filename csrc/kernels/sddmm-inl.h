// Products of rows of X with columns of Y at the entries of a mask, each in the order of dot-inl.h.
//
// Counts: for each entry of the mask one index, K elements of a column of Y (from whichever level holds it)
// and K FMAs; K elements of X for each group of entries in one row. By instruction count
// the trees would take as long as the chains of some dozens of elements, so they are done for a whole vector
// of entries at once.

#include "core/sddmm_args.h"
#include "kernels/dot-inl.h"
#include "simd/reduce.h"

namespace deepgemm::DG_ISA {
namespace {

// Entries whose chains run side by side: eight vectors of chains hide the latency of FMA.
template <class T>
constexpr int kSideBySide = Simd<T>::width > 1 ? Simd<T>::width / 2 : 1;

// The chains of R products, folded down to the lanes of one vector each.
template <class T, int R, bool SameRow>
DG_INLINE void folded_chains(const T* const* x, const T* const* y, int64_t inner,
                             typename Simd<T>::vec* folded) {
  using V = Simd<T>;
  using C = Chains<T>;
  C chains[R];
  for (int r = 0; r < R; ++r) chains[r].clear();
  int64_t k = 0;
  for (; k + kChains <= inner; k += kChains) {
    for (int v = 0; v < C::count; ++v) {
      const int64_t at = k + v * C::W;
      const typename V::vec shared = V::load(x[0] + at);
      for (int r = 0; r < R; ++r) {
        const typename V::vec row = SameRow || r == 0 ? shared : V::load(x[r] + at);
        chains[r].lanes[v] = V::fma(row, V::load(y[r] + at), chains[r].lanes[v]);
      }
    }
  }
  const int tail = static_cast<int>(inner - k);
  for (int v = 0; v * C::W < tail; ++v) {  // lanes past the end: fma(0, 0, chain) leaves a chain as it is
    const int64_t at = k + v * C::W;
    const int n = tail - v * C::W;
    for (int r = 0; r < R; ++r) {
      chains[r].lanes[v] = V::fma(V::load_n(x[r] + at, n), V::load_n(y[r] + at, n), chains[r].lanes[v]);
    }
  }
  for (int r = 0; r < R; ++r) {  // the first levels of the tree: lanes l and l + half lie in two vectors
    for (int half = C::count / 2; half > 0; half /= 2) {
      for (int v = 0; v < half; ++v) chains[r].lanes[v] = sum(chains[r].lanes[v], chains[r].lanes[v + half]);
    }
    folded[r] = chains[r].lanes[0];
  }
}

// The row in which entry `position` stands: the last one that begins at or before it.
template <class I>
DG_INLINE int64_t row_of(const I* indptr, int64_t rows, int64_t position) {
  int64_t low = 0, high = rows;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (indptr[middle] <= position) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

template <class T, class I>
void sddmm_real(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  constexpr int W = V::width, G = kSideBySide<T>;
  const SddmmArgs& args = *static_cast<const SddmmArgs*>(raw);
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  const T* x = static_cast<const T*>(args.x);
  const T* y = static_cast<const T*>(args.y);
  T* values = static_cast<T*>(args.values);
  if (begin >= end) return;
  int64_t row = row_of(indptr, args.rows, begin);
  for (int64_t p = begin; p < end; p += W) {
    const int n = end - p < W ? static_cast<int>(end - p) : W;
    const T *left[W], *right[W];
    for (int r = 0; r < n; ++r) {
      while (indptr[row + 1] <= p + r) ++row;
      left[r] = x + row * args.x_stride;
      right[r] = y + static_cast<int64_t>(indices[p + r]) * args.y_stride;
      DG_PREFETCH(right[r]);
    }
    typename V::vec folded[W];
    int r = 0;
    for (; r + G <= n; r += G) {
      if (left[r] == left[r + G - 1]) {  // rows ascend, so all between are the same
        folded_chains<T, G, true>(left + r, right + r, args.inner, folded + r);
      } else {
        folded_chains<T, G, false>(left + r, right + r, args.inner, folded + r);
      }
    }
    for (; r < n; ++r) folded_chains<T, 1, true>(left + r, right + r, args.inner, folded + r);
    for (; r < W; ++r) folded[r] = V::zero();
    V::store_n(values + p, tree_of_lanes(folded), n);
  }
}

template <class T, class I>
void sddmm_complex(const void* raw, int64_t begin, int64_t end, int thread, void* workspace) {
  const SddmmArgs& args = *static_cast<const SddmmArgs*>(raw);
  const I* indptr = static_cast<const I*>(args.indptr);
  const I* indices = static_cast<const I*>(args.indices);
  if (begin >= end) return;
  int64_t row = row_of(indptr, args.rows, begin);
  for (int64_t p = begin; p < end; ++p) {
    while (indptr[row + 1] <= p) ++row;
    const T* left = static_cast<const T*>(args.x) + 2 * row * args.x_stride;
    const T* right = static_cast<const T*>(args.y) + 2 * static_cast<int64_t>(indices[p]) * args.y_stride;
    const DotArgs one{left, 1, right, 1, static_cast<T*>(args.values) + 2 * p};
    dot_complex<T>(&one, 0, args.inner, thread, workspace);
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
