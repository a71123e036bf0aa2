// Steps of optimisers on the rows of a table that bags name: each row's gradient is summed over the bags that
// named it, in ascending order of positions, and used while it is in the first cache.
//
// Counts, for each element of a row: one FMA for each position that names it; then the row is read and
// written once, and so is the state of Adagrad, with a square root and a division.
#pragma once

#include "kernels/bags-inl.h"
#include "kernels/dot-inl.h"
#include "simd/reduce.h"

namespace deepgemm::DG_ISA {
namespace {

// How many rows ahead of its step a row is asked for; the sums of gradients lie between two steps.
constexpr int64_t kStepsAhead = 4;

// Calls body(column, elements) for each vector of a row.
template <class T, class Body>
DG_INLINE void each_part(int64_t columns, Body body) {
  constexpr int W = Simd<T>::width;
  int64_t column = 0;
  for (; column + W <= columns; column += W) body(column, W);
  if (column < columns) body(column, static_cast<int>(columns - column));
}

// row = fma(-rate, direction, row)
template <class S, class T, class Direction>
DG_INLINE void descend(S* row, int64_t columns, T rate, Direction direction) {
  const typename Simd<T>::vec down = Simd<T>::set1(-rate);
  each_part<T>(columns, [&](int64_t column, int n) DG_INLINE_LAMBDA {
    using Stored = Storage<T, S>;
    Stored::store_n(row + column, Simd<T>::fma(down, direction(column, n), Stored::load_n(row + column, n)),
                    n);
  });
}

template <class S, class T>
DG_INLINE void step_row(const BagUpdateArgs& args, int64_t row, const T* gradient) {
  using V = Simd<T>;
  const int64_t columns = args.gradients.columns;
  S* to = reinterpret_cast<S*>(args.table + row * args.table_bytes);
  T* state = reinterpret_cast<T*>(args.state + row * args.state_bytes);
  const T rate = static_cast<T>(args.rate), epsilon = static_cast<T>(args.epsilon);
  if (args.optimiser == Optimiser::adagrad) {
    const typename V::vec more = V::set1(epsilon);
    descend(to, columns, rate, [&](int64_t column, int n) DG_INLINE_LAMBDA {
      const typename V::vec g = V::load_n(gradient + column, n);
      const typename V::vec squares = V::fma(g, g, V::load_n(state + column, n));
      V::store_n(state + column, squares, n);
      return quotient(g, sum(root(squares), more));
    });
    return;
  }
  T factor = rate;
  if (args.optimiser == Optimiser::rowwise_adagrad) {
    T squares;
    const DotArgs itself{gradient, 1, gradient, 1, &squares};
    dot_real<T>(&itself, 0, columns, 0, nullptr);
    *state = *state + squares / static_cast<T>(columns);
    factor = rate / (first_lane(root(V::set1(*state))) + epsilon);
  }
  descend(to, columns, factor,
          [&](int64_t column, int n) DG_INLINE_LAMBDA { return V::load_n(gradient + column, n); });
}

template <class S>
void update_rows(const void* raw, int64_t begin, int64_t end, int thread, void* workspace) {
  using T = typename ChainOf<S>::type;
  const BagUpdateArgs& args = *static_cast<const BagUpdateArgs*>(raw);
  BagArgs gradients = args.gradients;
  gradients.out = static_cast<unsigned char*>(workspace);
  gradients.out_bytes = 0;
  const int64_t bytes = gradients.columns * static_cast<int64_t>(sizeof(S));
  for (int64_t i = begin; i < end; ++i) {
    const unsigned char* next =
        args.table + args.rows[i + kStepsAhead < end ? i + kStepsAhead : i] * args.table_bytes;
    for (int64_t at = 0; at < bytes; at += 64) DG_PREFETCH(next + at);
    BagFault fault;
    bags<Plain<T>, BagSum>(&gradients, i, i + 1, thread, &fault);
    step_row<S, T>(args, args.rows[i], static_cast<const T*>(workspace));
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
