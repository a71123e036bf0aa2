#include "core/grouped.h"

#include <algorithm>
#include <atomic>

#include "core/gemm_args.h"
#include "core/gemm_blocked.h"
#include "core/members.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// A member costs this much beside: packing sets in, its last tile is rarely full.
constexpr std::int64_t kWorkPerMember = std::int64_t{1} << 12;
// What one thread does before another is worth waking, and the tasks that each gets.
constexpr std::int64_t kWorkPerThread = std::int64_t{1} << 18;
constexpr std::int64_t kTasksPerThread = 8;
// A result that waits to be rounded stays in L2 beside panels of B.
constexpr std::int64_t kMostColumns = 2048;
constexpr std::int64_t kRoundedRows = 512, kRoundedColumns = 512;
constexpr std::int64_t kStripPanels = 8;

// In multiply-adds.
std::int64_t work_of(const GroupMember& member) {
  const std::int64_t m = member.c.rows, n = member.c.cols, k = member.a.cols;
  return m * n * k + kWorkPerElement * (m * k + k * n + m * n) + kWorkPerMember;
}

// What of a member one piece does: part `index` of row_tasks * col_tasks of its row tiles and column panels.
struct Cut {
  GroupMember faced;  // the member, or C^T = B^T A^T where the rows of C fill no vector
  std::int64_t tile_rows, row_tasks, col_tasks;
  bool turned;

  std::int64_t pieces() const { return row_tasks * col_tasks; }
};

// One ISA's way with members of some dtypes.
class Groups {
 public:
  Groups(const GemmTypes& types, Isa isa, std::int64_t right_bytes, std::int64_t work_per_piece)
      : types_{types, types.transposed()},
        kernels_{GemmKernels(types_[0], isa), GemmKernels(types_[1], isa)},
        round_(types.out == types.chain ? FoundKernel{}
                                        : find_kernel(KernelId::epilogue, types.out, IndexType::i32, isa)),
        blocking_(gemm_blocking(kernels_[0].block.isa, types.chain)),
        size_(bytes_of(types.chain)),
        in_cache_(right_bytes <= kCachedBytes),
        work_per_piece_(work_per_piece) {}

  Cut cut(const GroupMember& member) const {
    Cut cut{};
    cut.turned = better_transposed(member.c, member.a.cols, blocking_.lanes);
    cut.faced = cut.turned ? GroupMember{member.b.transposed(), member.a.transposed(), member.c.transposed()}
                           : member;
    if (cut.faced.c.cols == 1) cut.faced.c.col_stride = 1;
    const std::int64_t m = cut.faced.c.rows, n = cut.faced.c.cols, k = cut.faced.a.cols;
    const std::int64_t tiles = ceil_div(m, blocking_.tile_rows), panels = ceil_div(n, blocking_.panel);
    cut.tile_rows = ceil_div(m, tiles);
    const std::int64_t wanted = ceil_div(work_of(member), work_per_piece_);
    cut.row_tasks = ceil_div(m * std::min(k, blocking_.depth) * size_, kOwnBytes);
    if (m > n) cut.row_tasks = std::max(cut.row_tasks, wanted);
    if (rounds()) cut.row_tasks = std::max(cut.row_tasks, ceil_div(m, kRoundedRows));
    cut.row_tasks = std::clamp<std::int64_t>(cut.row_tasks, 1, tiles);
    const std::int64_t least = ceil_div(n, rounds() ? kRoundedColumns : kMostColumns);
    cut.col_tasks = std::min(std::max(ceil_div(wanted, cut.row_tasks), least), panels);
    return cut;
  }

  // Bytes that any piece needs: packed rows and panels, and a result that waits to be rounded.
  std::int64_t workspace() const {
    const std::int64_t tile = blocking_.tile_rows * blocking_.depth * size_;
    const std::int64_t strip = kStripPanels * blocking_.panel * blocking_.depth * size_;
    return result_bytes() + round_up(kOwnBytes + tile, 64) + round_up(strip, 64);
  }

  void run(const Cut& cut, std::int64_t piece, int thread, char* memory) const {
    GemmBlockArgs args = block_args(cut);
    const KernelFn kernel = kernels_[cut.turned].block.run;
    if (!rounds()) return kernel(&args, piece, piece + 1, thread, memory);
    // The piece's part of C becomes a matrix of its own, which is rounded into place.
    const Part rows = part(cut.faced.c.rows, cut.tile_rows, piece % cut.row_tasks, cut.row_tasks);
    const Part cols = part(cut.faced.c.cols, blocking_.panel, piece / cut.row_tasks, cut.col_tasks);
    args.a = window(args.a, rows.begin, rows.count, 0, args.a.cols, args.a_size);
    args.b = window(args.b, 0, args.b.rows, cols.begin, cols.count, args.b_size);
    args.c = {memory, rows.count, cols.count, cols.count, 1};
    args.row_tasks = args.col_tasks = 1;
    kernel(&args, 0, 1, thread, memory + result_bytes());
    const EpilogueArgs round{
        args.c,
        window(cut.faced.c, rows.begin, rows.count, cols.begin, cols.count, bytes_of(types_[0].out)),
        {}};
    round_.run(&round, 0, rows.count, thread, nullptr);
  }

 private:
  struct Part {
    std::int64_t begin, count;
  };
  // As the kernel cuts.
  static Part part(std::int64_t extent, std::int64_t width, std::int64_t index, std::int64_t parts) {
    const std::int64_t tiles = ceil_div(extent, width), begin = tiles * index / parts * width;
    return {begin, std::min(tiles * (index + 1) / parts * width, extent) - begin};
  }

  bool rounds() const { return round_.run != nullptr; }
  std::int64_t result_bytes() const {
    if (!rounds()) return 0;
    return round_up((kRoundedRows + blocking_.tile_rows) * (kRoundedColumns + blocking_.panel) * size_, 64);
  }

  GemmDirect direct(const Cut& cut) const {
    const GemmTypes& types = types_[cut.turned];
    if (types.right != types.chain || is_complex(types.chain)) return GemmDirect::no;
    const DenseView& b = cut.faced.b;
    const std::int64_t m = cut.faced.c.rows;
    if (b.col_stride == 1 && ((m <= cut.tile_rows && in_cache_) || b.rows * b.cols * size_ <= kDirectBytes)) {
      return GemmDirect::by_rows;
    }
    if (b.row_stride == 1 && m <= blocking_.rows_four_panels) return GemmDirect::by_columns;
    return GemmDirect::no;
  }

  GemmBlockArgs block_args(const Cut& cut) const {
    const GemmTypes& types = types_[cut.turned];
    const GemmKernels& kernels = kernels_[cut.turned];
    GemmBlockArgs args{};
    args.a = cut.faced.a;
    args.b = cut.faced.b;
    args.c = cut.faced.c;
    args.pack_left = kernels.pack_left.run;
    args.pack_right = kernels.pack_right.run;
    args.a_size = bytes_of(types.left);
    args.b_size = bytes_of(types.right);
    args.first = true;
    args.swapped = cut.turned;
    args.direct = direct(cut);
    args.tile_rows = cut.tile_rows;
    const std::int64_t depth = std::max<std::int64_t>(args.a.cols, 1);
    const std::int64_t most = args.direct == GemmDirect::by_columns ? kColumnDepth : blocking_.depth;
    args.depth_block = ceil_div(depth, ceil_div(depth, most));
    args.strip_panels = kStripPanels;
    args.row_tasks = cut.row_tasks;
    args.col_tasks = cut.col_tasks;
    args.own_a_bytes = round_up(kOwnBytes + blocking_.tile_rows * blocking_.depth * size_, 64);
    return args;
  }

  GemmTypes types_[2];
  GemmKernels kernels_[2];
  FoundKernel round_;
  GemmBlocking blocking_;
  std::int64_t size_;
  bool in_cache_;  // all right operands together are
  std::int64_t work_per_piece_;
};

// Leaves out members without elements, joins those that share B, and returns how many are left.
std::int64_t count_merged(GroupMember* members, std::int64_t count, const GemmTypes& types) {
  const auto follows = [](const DenseView& first, const DenseView& next, DType dtype) {
    return first.row_stride == next.row_stride && first.col_stride == next.col_stride &&
           offset(first.data, first.rows * first.row_stride, bytes_of(dtype)) == next.data;
  };
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const GroupMember& member = members[i];
    if (member.c.rows == 0 || member.c.cols == 0) continue;
    if (kept > 0) {
      GroupMember& last = members[kept - 1];
      const DenseView &mine = member.b, &theirs = last.b;
      if (mine.data == theirs.data && mine.rows == theirs.rows && mine.cols == theirs.cols &&
          mine.row_stride == theirs.row_stride && mine.col_stride == theirs.col_stride &&
          follows(last.a, member.a, types.left) && follows(last.c, member.c, types.out)) {
        last.a.rows += member.a.rows;
        last.c.rows += member.c.rows;
        continue;
      }
    }
    members[kept++] = member;
  }
  return kept;
}

// Stretches of pieces, of about equal work: a long member is cut, short neighbours are done together.
class Tasks {
 public:
  // False if there is no memory.
  bool plan(const Groups& groups, const GroupMember* members, std::int64_t count, std::int64_t most,
            std::int64_t per_task) {
    if (!memory_.resize(static_cast<std::size_t>(most + 2) * sizeof(Start))) return false;
    starts_ = static_cast<Start*>(memory_.data());
    std::int64_t filled = per_task;  // so that the first piece opens a task
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t work = work_of(members[i]);
      // A member that is not cut is not looked at before its turn: that takes as long as its own product
      // does, if it is small.
      const std::int64_t pieces = 2 * work <= per_task ? 1 : groups.cut(members[i]).pieces();
      const std::int64_t each = ceil_div(work, pieces);
      for (std::int64_t piece = 0; piece < pieces; ++piece, filled += each) {
        if (filled < per_task) continue;
        starts_[count_++] = {i, piece};
        filled = 0;
      }
    }
    starts_[count_] = {count, 0};
    return true;
  }

  std::int64_t count() const { return count_; }

  void run(const Groups& groups, const GroupMember* members, std::int64_t task, int thread,
           char* memory) const {
    const Start begin = starts_[task], end = starts_[task + 1];
    std::int64_t piece = begin.piece;
    for (std::int64_t i = begin.member; i < end.member || (i == end.member && piece < end.piece); ++i) {
      const Cut cut = groups.cut(members[i]);
      const std::int64_t last = i == end.member ? end.piece : cut.pieces();
      for (; piece < last; ++piece) groups.run(cut, piece, thread, memory);
      piece = 0;
    }
  }

 private:
  struct Start {
    std::int64_t member, piece;
  };
  AlignedBuffer memory_;
  Start* starts_ = nullptr;
  std::int64_t count_ = 0;
};

Status multiply_integers(const GroupMember* members, std::int64_t count, const GemmTypes& types, Isa isa,
                         std::int64_t total, int threads) {
  std::atomic<Status> status{Status::ok};
  for_each_member(
      count, total, threads, [&](std::int64_t i) { return work_of(members[i]); },
      [&](std::int64_t i, int team) {
        const GroupMember& member = members[i];
        const Status found = gemm_integers(member.a, member.b, member.c, types, isa, team);
        if (found != Status::ok) status.store(found, std::memory_order_relaxed);
      });
  return status.load(std::memory_order_relaxed);
}

}  // namespace

Status multiply_members(GroupMember* members, std::int64_t count, const GemmTypes& types, Isa highest,
                        int threads) {
  count = count_merged(members, count, types);
  if (count == 0) return Status::ok;
  std::int64_t total = 0, right_bytes = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    total += work_of(members[i]);
    right_bytes += members[i].b.rows * members[i].b.cols * bytes_of(types.right);
  }
  threads = static_cast<int>(std::clamp<std::int64_t>(total / kWorkPerThread, 1, threads));
  const Isa isa = gemm_isa(types.chain, highest);
  if (types.chain == DType::i32) return multiply_integers(members, count, types, isa, total, threads);

  const std::int64_t most = threads == 1 ? 1 : kTasksPerThread * threads, per_task = ceil_div(total, most);
  const Groups groups(types, isa, right_bytes, per_task);
  Tasks tasks;
  if (!tasks.plan(groups, members, count, most, per_task)) return Status::no_memory;
  const Workspace memory(static_cast<std::size_t>(threads * groups.workspace()));
  char* const own = static_cast<char*>(memory.data());
  if (own == nullptr) return Status::no_memory;
  parallel::run(threads, tasks.count(), [&](std::int64_t task, int thread) {
    tasks.run(groups, members, task, thread, own + thread * groups.workspace());
  });
  return Status::ok;
}

}  // namespace deepgemm
