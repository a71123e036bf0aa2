#include "core/stack.h"

#include <algorithm>
#include <atomic>

#include "core/dense.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Members that do not stand side by side are copied there, a group of them at a time: enough columns for
// whole passes of the kernels, in so much memory that a product stays within a tenth of its operands.
constexpr std::int64_t kGroupRowBytes = 256;
constexpr std::int64_t kFreeBytes = 8 << 20;
constexpr std::int64_t kTasksPerThread = 8;

class StackProduct {
 public:
  StackProduct(const Product& product, const Stack& x, const Stack& y, const StackOptions& options,
               int threads)
      : product_(product), x_(x), y_(y), options_(options), threads_(threads), count_(x.count()) {}

  Status run() const {
    if (count_ == 0) return Status::ok;
    DenseView x, y;
    if (options_.fold_rows && x_.transposed().side_by_side(x) && y_.transposed().side_by_side(y)) {
      return product_.run(x.transposed(), y.transposed(), threads_);
    }
    if (!options_.fold) return options_.share_members ? share_members() : one_by_one();
    const bool x_joined = x_.side_by_side(x), y_joined = y_.side_by_side(y);
    if (x_joined && y_joined) return product_.run(x, y, threads_);
    return in_groups(x_joined ? &x : nullptr, y_joined ? &y : nullptr);
  }

 private:
  std::int64_t columns_of_member() const { return y_.first.cols; }

  Status one_by_one() const {
    for (std::int64_t b = 0; b < count_; ++b) {
      const Status status = product_.run(x_.at(b, options_.x_size), y_.at(b, options_.y_size), threads_);
      if (status != Status::ok) return status;
    }
    return Status::ok;
  }

  Status share_members() const {
    const std::int64_t tasks = std::min(count_, threads_ * kTasksPerThread);
    std::atomic<Status> status{Status::ok};
    parallel::run(threads_, tasks, [&](std::int64_t task, int) {
      for (std::int64_t b = count_ * task / tasks; b < count_ * (task + 1) / tasks; ++b) {
        const Status one = product_.run(x_.at(b, options_.x_size), y_.at(b, options_.y_size), 1);
        if (one != Status::ok) status.store(one, std::memory_order_relaxed);
      }
    });
    return status.load();
  }

  // How many members are multiplied at once where some of them have to be copied.
  std::int64_t group_of(std::int64_t copied_rows) const {
    const std::int64_t size = static_cast<std::int64_t>(options_.x_size);
    const std::int64_t member = std::max<std::int64_t>(columns_of_member() * size, 1);
    const std::int64_t given = (x_.first.rows + y_.first.rows) * member * count_;
    const std::int64_t affordable =
        std::max(kFreeBytes, given / 12) / std::max<std::int64_t>(copied_rows * member, 1);
    return std::clamp<std::int64_t>(std::min(affordable, kGroupRowBytes / member), 1, count_);
  }

  // `x` and `y` are all members side by side, or null where they are not.
  Status in_groups(const DenseView* x, const DenseView* y) const {
    const std::int64_t x_rows = x ? 0 : x_.first.rows, y_rows = y ? 0 : y_.first.rows;
    const std::int64_t group = group_of(x_rows + y_rows), n = columns_of_member();
    if (group == 1) return one_by_one();
    const Workspace memory(static_cast<std::size_t>((x_rows + y_rows) * group * n) * options_.x_size);
    char* x_buffer = static_cast<char*>(memory.data());
    if (x_buffer == nullptr) return Status::no_memory;
    char* y_buffer = x_buffer + static_cast<std::size_t>(x_rows * group * n) * options_.x_size;
    for (std::int64_t b = 0; b < count_; b += group) {
      const std::int64_t members = std::min(group, count_ - b), width = members * n;
      const DenseView from = x ? columns(*x, b * n, width) : DenseView{x_buffer, x_rows, width, width, 1};
      const DenseView to = y ? columns(*y, b * n, width) : DenseView{y_buffer, y_rows, width, width, 1};
      if (x == nullptr) {
        for_rows(x_rows, width, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = 0; i < members; ++i) {
            dense::copy(rows(x_.at(b + i, options_.x_size), begin, end),
                        rows(columns(from, i * n, n), begin, end), options_.x_size, 1);
          }
        });
      }
      const Status status = product_.run(from, to, threads_);
      if (status != Status::ok) return status;
      if (y == nullptr) {
        for_rows(y_rows, width, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = 0; i < members; ++i) {
            dense::copy(rows(columns(to, i * n, n), begin, end),
                        rows(y_.at(b + i, options_.x_size), begin, end), options_.x_size, 1);
          }
        });
      }
    }
    return Status::ok;
  }

  // A few rows of all members at a time, so that a line of the copy is written while it is in L1: member
  // after member wrote every line once for each of them.
  template <class Body>
  void for_rows(std::int64_t count, std::int64_t width, const Body& body) const {
    constexpr std::int64_t kRows = 64, kElementsPerTask = 1 << 15;
    const std::int64_t blocks = (count + kRows - 1) / kRows;
    const std::int64_t tasks =
        std::min(parallel::task_count(threads_, count * width, kElementsPerTask), blocks);
    parallel::run(threads_, tasks, [&](std::int64_t task, int) {
      for (std::int64_t block = blocks * task / tasks; block < blocks * (task + 1) / tasks; ++block) {
        body(block * kRows, std::min((block + 1) * kRows, count));
      }
    });
  }

  DenseView rows(const DenseView& v, std::int64_t begin, std::int64_t end) const {
    char* data =
        static_cast<char*>(v.data) + begin * v.row_stride * static_cast<std::int64_t>(options_.x_size);
    return {data, end - begin, v.cols, v.row_stride, v.col_stride};
  }

  DenseView columns(const DenseView& v, std::int64_t first, std::int64_t count) const {
    char* data =
        static_cast<char*>(v.data) + first * v.col_stride * static_cast<std::int64_t>(options_.x_size);
    return {data, v.rows, count, v.row_stride, v.col_stride};
  }

  const Product& product_;
  const Stack &x_, &y_;
  StackOptions options_;
  int threads_;
  std::int64_t count_;
};

}  // namespace

std::int64_t Stack::count() const {
  std::int64_t count = 1;
  for (const Axis& axis : axes) count *= axis.extent;
  return count;
}

DenseView Stack::at(std::int64_t number, std::size_t size) const {
  std::int64_t offset = 0;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    offset += number % axis->extent * axis->stride;
    number /= axis->extent;
  }
  DenseView member = first;
  member.data = static_cast<char*>(first.data) + offset * static_cast<std::int64_t>(size);
  return member;
}

bool Stack::side_by_side(DenseView& whole) const {
  whole = first;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    if (axis->extent == 1) continue;
    if (whole.cols == 1) {
      whole.col_stride = axis->stride;
    } else if (axis->stride != whole.cols * whole.col_stride) {
      return false;
    }
    whole.cols *= axis->extent;
  }
  return true;
}

Status run_stack(const Product& product, const Stack& x, const Stack& y, const StackOptions& options,
                 int threads) {
  return StackProduct(product, x, y, options, threads).run();
}

}  // namespace deepgemm
