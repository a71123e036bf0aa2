// What a bound plan holds, how its operands are checked, and how it runs.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "bindings/bound.h"
#include "core/fingerprint.h"
#include "core/gemm_stack.h"

namespace deepgemm::bindings {

// A plan, bound: its kernel, what is checked at each call, and the account that it keeps.
struct RunnerState {
  struct Guard {
    const void* data;
    std::int64_t items, item_size;
  };

  py::object product_owner, fallback_owner, callback;
  const Product* product = nullptr;
  const Product* fallback = nullptr;
  bool other_is_right = true;
  bool transposed = false;
  bool fold = false, share_members = false;  // see core/stack.h; of operands with more than two axes
  DType dtype = DType::f32;
  std::int64_t other_size = 0, out_size = 0;
  int threads = 0;  // 0: as many as the current limit allows

  py::dtype other_dtype, out_dtype;
  std::vector<py::ssize_t> other_shape, out_shape;

  py::tuple guards;
  py::tuple apart;  // what a result must not share memory with
  std::vector<Guard> guarded;
  bool full_check = false;
  std::uint64_t seen = 0;  // the fingerprint when the plan was made

  std::string operation, fixed_name, other_name;

  // What follows each product, its arrays being those of `ending_owner`. A call may add C to it: of the shape
  // and dtype that `place` gives it, unless `refusal` says why it may not.
  StackedTerms ending;
  py::object ending_owner, place;
  std::string refusal;

  // The seconds of what could run instead and those expected of this one; and what may be lost against the
  // former, and taken at all, before the planner is asked again (planner/account.py).
  double best = 0.0, expected = 0.0;
  double price = std::numeric_limits<double>::infinity(), look = std::numeric_limits<double>::infinity();
  double fastest = std::numeric_limits<double>::infinity();
  std::int64_t calls = 0;
  std::int64_t members = 1;  // products that one call counts as: those of a stack, unless it is folded

  void record(double seconds) {
    calls += members;
    fastest = std::min(fastest, seconds / static_cast<double>(members));
  }

  // Counted by the fastest call, because what disturbs the others is no fault of the kernel. Where that is
  // faster than expected, what could run instead gets the same benefit.
  double lost() const {
    if (calls == 0) return 0.0;
    const double hope = fastest < expected ? fastest / expected : 1.0;
    return static_cast<double>(calls) * std::max(0.0, fastest - best * hope);
  }

  bool due() const {
    constexpr std::int64_t kLeastCalls = 3;  // the fastest of so many is rarely disturbed
    return calls >= kLeastCalls && (lost() > price || static_cast<double>(calls) * fastest > look);
  }

  std::uint64_t fingerprint_now() const {
    std::uint64_t state = 0;
    for (const Guard& g : guarded) {
      state = full_check ? full_fingerprint(g.data, g.items, g.item_size, state)
                         : fingerprint(g.data, g.items, g.item_size, state);
    }
    return state;
  }
};

// Whether an array has that shape, and that dtype.
bool same_shape(PyObject* array, const std::vector<py::ssize_t>& shape);
bool same_dtype(PyObject* array, const py::dtype& dtype);

// Raise unless an array is what the plan expects as the other operand, or can take its result.
void check_other(const RunnerState& s, PyObject* other);
void check_out(const RunnerState& s, PyObject* out, PyObject* other);

// A matrix (or a vector, which lies as the result does) or the stack that an array of the result's shape is.
Stack stack_of_result(const RunnerState& s, PyObject* array, std::int64_t item_size);

// The C of one call and its factor; `array` is null where there is none.
struct Addend {
  py::object array, beta;
};

// Return C as an array that kernels can read, having checked it and that `out` lies elsewhere; raise where
// calls of this plan take none.
Addend checked_addend(const RunnerState& s, const py::object& c, const py::object& beta, PyObject* out);

// Multiplies by an operand that was checked, into `out` or, where that is null, a new array.
py::object multiply(RunnerState& s, PyObject* other, PyObject* out, const Addend& addend = {});

}  // namespace deepgemm::bindings
