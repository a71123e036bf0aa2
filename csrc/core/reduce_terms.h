// What one entry contributes to a reduction, and how contributions are joined.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace deepgemm::reduce_terms {

template <class T>
struct Complex {
  T re, im;
  friend Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
};

// Contributions of S in the accumulator type A; `center` is read by deviations only. Squares are rounded
// before they are added: for float32, whose squares float64 holds, that is the same as fusing, and it runs
// on CPUs without FMA.
template <class S, class A>
struct Sum {
  using Stored = S;
  using Acc = A;
  static A term(S v, double) { return static_cast<A>(v); }
  static A join(A a, A b) { return a + b; }
};

template <class S>
struct SumOfMagnitudes : Sum<S, double> {
  static double term(S v, double) {
    const double wide = v;
    return wide < 0.0 ? -wide : wide;
  }
};

template <class S>
struct SumOfSquares : Sum<S, double> {
  static double term(S v, double) {
    const double wide = v;
    return wide * wide;
  }
};

template <class S>
struct SumOfDeviations : Sum<S, double> {
  static double term(S v, double center) {
    const double apart = static_cast<double>(v) - center;
    return apart * apart;
  }
};

template <class S>
struct Largest : SumOfMagnitudes<S> {
  static double join(double a, double b) { return b > a || b != b ? b : a; }
};

constexpr int kLanes = 16;

// Contributions of lanes past the end are masked to zero by their bits, so that nan and inf vanish too; this
// is written out because compilers vectorise it for the oldest CPUs, which a loop with a condition is not.
template <class A>
struct Mask {
  using Bits = std::conditional_t<sizeof(A) == 4, std::uint32_t, std::uint64_t>;
  Bits bits[2 * kLanes];
  constexpr Mask() : bits() {
    for (int l = 0; l < kLanes; ++l) bits[l] = ~Bits{0};
  }
  const Bits* first(std::int64_t count) const { return bits + (kLanes - count); }
};

template <class A>
inline constexpr Mask<A> kMask{};

// Lanes l and l + W / 2, then l + W / 4, ..., l + 1. With fewer than 16 lanes the others are zero.
template <class Op, int W>
typename Op::Acc tree(typename Op::Acc* lanes) {
  for (int l = 0; l < W / 2; ++l) lanes[l] = Op::join(lanes[l], lanes[l + W / 2]);
  if constexpr (W > 2) {
    return tree<Op, W / 2>(lanes);
  } else {
    return lanes[0];
  }
}

// Joins the contributions of p[0..count), count <= W, to W lanes; W values can be read.
template <class Op, int W>
void join_some(const typename Op::Stored* p, std::int64_t count, double center, typename Op::Acc* lanes) {
  using A = typename Op::Acc;
  const auto* keep = kMask<A>.first(count);
  for (int l = 0; l < W; ++l) {
    const auto bits = std::bit_cast<typename Mask<A>::Bits>(Op::term(p[l], center)) & keep[l];
    lanes[l] = Op::join(lanes[l], std::bit_cast<A>(bits));
  }
}

// A line of up to W entries, W of which can be read.
template <class Op, int W>
typename Op::Acc short_line(const typename Op::Stored* p, std::int64_t count, double center) {
  typename Op::Acc lanes[W] = {};
  join_some<Op, W>(p, count, center, lanes);
  return tree<Op, W>(lanes);
}

// The entries p[0..n) in 16 lanes. `readable` values may be read from p on, n or more of them.
template <class Op>
typename Op::Acc in_lanes(const typename Op::Stored* p, std::int64_t n, std::int64_t readable,
                          double center) {
  using A = typename Op::Acc;
  constexpr bool kMasks = std::is_arithmetic_v<A>;  // complex sums are masked by a loop
  if constexpr (kMasks) {
    if (n <= 4 && readable >= 4) return n == 0 ? A{} : short_line<Op, 4>(p, n, center);
    if (n <= 8 && readable >= 8) return short_line<Op, 8>(p, n, center);
  }
  A lanes[kLanes] = {};
  std::int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] = Op::join(lanes[l], Op::term(p[k + l], center));
  }
  const std::int64_t rest = n - k;
  if constexpr (kMasks) {
    if (rest > 0 && rest <= 8 && k + 8 <= readable) {
      join_some<Op, 8>(p + k, rest, center, lanes);
      k = n;
    } else if (rest > 8 && k + kLanes <= readable) {
      join_some<Op, kLanes>(p + k, rest, center, lanes);
      k = n;
    }
  }
  for (int l = 0; k < n; ++k, ++l) lanes[l] = Op::join(lanes[l], Op::term(p[k], center));
  return tree<Op, kLanes>(lanes);
}

// `acc` and the entries p[0..n) in one chain.
template <class Op>
typename Op::Acc in_chain(typename Op::Acc acc, const typename Op::Stored* p, std::int64_t n, double center) {
  for (std::int64_t k = 0; k < n; ++k) acc = Op::join(acc, Op::term(p[k], center));
  return acc;
}

// The chains of many lines, eight of them side by side, which hides the latency of the additions; a line that
// ends makes room for the next. next_line(line) sets `at`, `left`, `center` and `id` of a line that has
// entries, or returns false when there are no more; done(id, sum) takes its result.
template <class Op>
struct SideBySide {
  using A = typename Op::Acc;
  using S = typename Op::Stored;
  static constexpr int kLines = 8;

  struct Line {
    const S* at = nullptr;
    std::int64_t left = 0, id = 0;
    double center = 0.0;
  };

  template <class Next, class Done>
  static void run(const Next& next_line, const Done& done) {
    Line line[kLines];
    A acc[kLines] = {};
    int open = 0;
    while (open < kLines && next_line(line[open])) ++open;
    while (open == kLines) {
      std::int64_t steps = line[0].left;
      for (int c = 1; c < kLines; ++c) steps = line[c].left < steps ? line[c].left : steps;
      for (std::int64_t k = 0; k < steps; ++k) {
        for (int c = 0; c < kLines; ++c) acc[c] = Op::join(acc[c], Op::term(line[c].at[k], line[c].center));
      }
      for (int c = 0; c < kLines; ++c) {
        line[c].at += steps;
        line[c].left -= steps;
        if (line[c].left > 0) continue;
        done(line[c].id, acc[c]);
        acc[c] = A{};
        if (!next_line(line[c])) open = 0;  // nothing is left to fill the place with
      }
    }
    for (int c = 0; c < kLines; ++c) {
      if (line[c].left > 0) done(line[c].id, in_chain<Op>(acc[c], line[c].at, line[c].left, line[c].center));
    }
  }
};

}  // namespace deepgemm::reduce_terms
