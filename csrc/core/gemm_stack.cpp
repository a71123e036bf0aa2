#include "core/gemm_stack.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "core/gemm_small.h"
#include "core/parallel.h"

namespace deepgemm {
namespace {

// Multiply-adds of a member from which on all threads share it, and below which they share the members
// even if these are few.
constexpr std::int64_t kMostOwnWork = std::int64_t{1} << 23;
constexpr std::int64_t kTasksPerThread = 8;

// What takes part in a product: the operands, the result and the terms of its epilogue.
enum Part { kA, kB, kC, kAddend, kScale, kBias, kParts };

struct Axis {
  std::int64_t extent;
  std::int64_t stride[kParts];
};

// A stack whose axes are as few as its strides allow.
class StackedGemm {
 public:
  StackedGemm(const Stack& a, const Stack& b, const Stack& c, const GemmTypes& types, Isa highest,
              int threads, const StackedTerms& terms)
      : terms_(terms.terms), types_(types), highest_(highest), threads_(threads) {
    const Stack* const stacks[kParts] = {&a, &b, &c, &terms.addend, &terms.scale, &terms.bias};
    for (int part = 0; part < kParts; ++part) views_[part] = stacks[part]->first;
    for (std::size_t d = 0; d < c.axes.size(); ++d) {
      Axis axis{c.axes[d].extent, {}};
      for (int part = 0; part < kParts; ++part) {
        if (views_[part].data != nullptr) axis.stride[part] = stacks[part]->axes[d].stride;
      }
      count_ *= axis.extent;
      if (axis.extent != 1 && !joined(axis)) axes_.push_back(axis);
    }
    while (fold()) {
    }
  }

  Status run() const {
    const DenseView& c = views_[kC];
    if (count_ == 0 || c.rows == 0 || c.cols == 0) return Status::ok;
    if (axes_.empty()) return member(0, threads_);
    if (terms_.empty()) {
      std::vector<GemmAxis> axes;
      for (const Axis& axis : axes_)
        axes.push_back({axis.extent, axis.stride[kA], axis.stride[kB], axis.stride[kC]});
      const SmallProducts small(views_[kA], views_[kB], c, types_, highest_, axes.data(),
                                static_cast<int>(axes.size()));
      if (small.serves()) return small.run(threads_);
    }
    const std::int64_t members = this->members(), work = c.rows * c.cols * std::max(views_[kA].cols, kGroup);
    const bool few = members < 2 * threads_ && work > kMostOwnWork / 8;
    return few || work > kMostOwnWork ? one_by_one(members) : shared(members, work);
  }

 private:
  // Whether an axis continues the one outside it.
  bool joined(const Axis& axis) {
    if (axes_.empty()) return false;
    Axis& outer = axes_.back();
    for (int part = 0; part < kParts; ++part) {
      if (outer.stride[part] != axis.extent * axis.stride[part]) return false;
    }
    const std::int64_t extent = outer.extent * axis.extent;
    outer = axis;
    outer.extent = extent;
    return true;
  }

  // Members with one B are one product with rows below one another, those with one A side by side. Whether
  // there was an axis of such members, which is then no more.
  bool fold() {
    for (std::size_t d = axes_.size(); d-- > 0;) {
      const Axis axis = axes_[d];
      const bool below = axis.stride[kB] == 0 && all_follow(axis, kB, true);
      if (!below && (axis.stride[kA] != 0 || !all_follow(axis, kA, false))) continue;
      for (int part = 0; part < kParts; ++part) {
        if (part == (below ? kB : kA)) continue;
        DenseView& view = views_[part];
        std::int64_t &lines = below ? view.rows : view.cols,
                     &stride = below ? view.row_stride : view.col_stride;
        if (lines == 1) stride = axis.stride[part];
        lines *= axis.extent;
      }
      axes_.erase(axes_.begin() + static_cast<std::ptrdiff_t>(d));
      return true;
    }
    return false;
  }

  // Whether the lines of the next member follow those of a member, in all parts but the one that they share.
  bool all_follow(const Axis& axis, int shared, bool rows) const {
    for (int part = 0; part < kParts; ++part) {
      const DenseView& view = views_[part];
      const std::int64_t lines = rows ? view.rows : view.cols,
                         stride = rows ? view.row_stride : view.col_stride;
      if (part != shared && view.data != nullptr && lines != 1 && axis.stride[part] != lines * stride) {
        return false;
      }
    }
    return true;
  }

  std::int64_t members() const {
    std::int64_t count = 1;
    for (const Axis& axis : axes_) count *= axis.extent;
    return count;
  }

  Status member(std::int64_t number, int threads) const {
    DenseView at[kParts];
    for (int part = 0; part < kParts; ++part) at[part] = views_[part];
    for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
      const std::int64_t place = number % axis->extent;
      number /= axis->extent;
      for (int part = 0; part < kParts; ++part) {
        const DType dtype = part == kA   ? types_.left
                            : part == kB ? types_.right
                            : part == kC ? types_.out
                                         : types_.chain;
        const std::int64_t bytes = place * axis->stride[part] * static_cast<std::int64_t>(size_of(dtype));
        if (at[part].data != nullptr) at[part].data = static_cast<char*>(at[part].data) + bytes;
      }
    }
    if (types_.chain == DType::i32) return gemm_integers(at[kA], at[kB], at[kC], types_, highest_, threads);
    Epilogue terms = terms_;
    terms.addend = at[kAddend];
    terms.scale = at[kScale];
    terms.bias = at[kBias];
    return gemm(at[kA], at[kB], at[kC], types_, highest_, threads, false, terms);
  }

  Status one_by_one(std::int64_t members) const {
    for (std::int64_t i = 0; i < members; ++i) {
      const Status status = member(i, threads_);
      if (status != Status::ok) return status;
    }
    return Status::ok;
  }

  Status shared(std::int64_t members, std::int64_t work) const {
    constexpr std::int64_t kWorkPerTask = std::int64_t{1} << 18;
    const std::int64_t wanted = parallel::task_count(threads_, work * members, kWorkPerTask);
    const std::int64_t tasks = std::min({members, wanted, threads_ * kTasksPerThread});
    std::atomic<Status> status{Status::ok};
    parallel::run(threads_, tasks, [&](std::int64_t task, int) {
      for (std::int64_t i = members * task / tasks; i < members * (task + 1) / tasks; ++i) {
        const Status one = member(i, 1);
        if (one != Status::ok) status.store(one, std::memory_order_relaxed);
      }
    });
    return status.load();
  }

  DenseView views_[kParts];
  const Epilogue terms_;
  const GemmTypes types_;
  const Isa highest_;
  const int threads_;
  std::int64_t count_ = 1;
  std::vector<Axis> axes_;
};

}  // namespace

Status gemm_stack(const Stack& a, const Stack& b, const Stack& c, const GemmTypes& types, Isa highest,
                  int threads, const StackedTerms& terms) {
  return StackedGemm(a, b, c, types, highest, threads, terms).run();
}

void finish_stack(const Stack& c, DType chain, const StackedTerms& terms, Isa highest, int threads) {
  const std::int64_t members = c.count(), size = static_cast<std::int64_t>(size_of(chain));
  const bool many = members >= 2 * threads;
  parallel::run(many ? threads : 1, members, [&](std::int64_t number, int) {
    const DenseView member = c.at(number, static_cast<std::size_t>(size));
    finish(member, member, GemmTypes::all(chain), terms.at(number, static_cast<std::size_t>(size)), highest,
           many ? 1 : threads);
  });
}

}  // namespace deepgemm
