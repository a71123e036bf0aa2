#include "core/gemm.h"

#include <algorithm>

#include "core/gemm_args.h"
#include "core/parallel.h"

namespace deepgemm {
namespace {

// Multiply-adds for each thread below which another one is not worth waking.
constexpr std::int64_t kWorkPerThread = std::int64_t{1} << 19;
// An element that is fetched but hardly used counts as this many.
constexpr std::int64_t kWorkPerElement = 4;
// The operand that all tasks read is packed in stages of at least this size (it stays in L2 or L3), or of
// this share of all three matrices up to the limit: larger stages read the other operand less often.
constexpr std::int64_t kSharedBytes = std::int64_t{1} << 20;
constexpr std::int64_t kSharedPart = 16;
constexpr std::int64_t kMostSharedBytes = std::int64_t{4} << 20;
// What a task packs for itself stays in L2 beside a panel of the other operand.
constexpr std::int64_t kOwnBytes = 256 << 10;
// Up to this many rows A is the operand to share, and tasks split columns.
constexpr std::int64_t kFlatRows = 192;
// A right operand of at most this size is read where it stands by any number of row tiles; a single tile
// reads one of up to kCachedBytes there (12 x 512 x 512 227 GFLOP/s, packed 148), but narrow columns of
// one in memory cost more than packing it by long rows (8 x 4096 x 4096 42 against 59).
constexpr std::int64_t kDirectBytes = 32 << 10;

// The block of k where nothing but a few rows of A has to stay in L1 or L2.
constexpr std::int64_t kColumnDepth = 8192;
// A right operand above this size is taken to be in memory, not in L3.
constexpr std::int64_t kCachedBytes = 16 << 20;
// A row of B is read this far while it is packed; a power of two of panels.
constexpr std::int64_t kStripBytes = 1024;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

struct Kernels {
  FoundKernel block, pack_left, pack_right, round;

  Kernels(const GemmTypes& types, Isa highest) {
    block = find_kernel(KernelId::gemm_block, types.chain, IndexType::i32, highest);
    pack_left = find_kernel(KernelId::gemm_pack_left, types.left, IndexType::i32, block.isa);
    pack_right = find_kernel(KernelId::gemm_pack_right, types.right, IndexType::i32, block.isa);
    round = find_kernel(KernelId::gemm_round, types.out, IndexType::i32, block.isa);
  }
};

std::int64_t bytes_of(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }

// Panels of B that are packed side by side.
std::int64_t strip_of(const GemmBlocking& blocking, std::int64_t size) {
  return std::max<std::int64_t>(4, kStripBytes / (blocking.panel * size));
}

// How one product is cut: a pure function of its shape. The operand that is shared is packed by all
// threads, a stage at a time; the other one by the tasks that read it.
struct Schedule {
  GemmBlocking blocking;
  std::int64_t size;  // bytes of an element in the chain's dtype
  std::int64_t tile_rows = 1;
  std::int64_t depth_block = 1;
  std::int64_t strip_panels = 1;
  std::int64_t stage_depth = 1, stage_cols = 0;
  std::int64_t row_tasks = 1, col_tasks = 1;
  std::int64_t shared_budget = 0, shared_bytes = 0, own_a_bytes = 0, own_bytes = 0;
  int threads = 1;
  bool share_a = false, share_b = false;
  GemmDirect direct = GemmDirect::no;

  Schedule(std::int64_t m, std::int64_t n, std::int64_t k, const GemmTypes& types, Isa isa, int most_threads,
           bool prepacked, const DenseView& b)
      : blocking(gemm_blocking(isa, types.chain)), size(bytes_of(types.chain)) {
    const std::int64_t tiles = ceil_div(m, blocking.tile_rows);
    tile_rows = ceil_div(m, tiles);
    const std::int64_t panels = ceil_div(n, blocking.panel);
    strip_panels = std::max<std::int64_t>(blocking.panels_for(tile_rows), strip_of(blocking, size));
    const std::int64_t elements = m * k + k * n + m * n;
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) +
                        static_cast<double>(kWorkPerElement * elements);
    threads = static_cast<int>(
        std::clamp(work / kWorkPerThread, 1.0, static_cast<double>(std::max(most_threads, 1))));
    shared_budget = std::clamp(elements * size / kSharedPart, kSharedBytes, kMostSharedBytes);
    stage_depth = std::max<std::int64_t>(k, 1);
    stage_cols = n;

    if (!prepacked && types.right == types.chain && !is_complex(types.chain)) {
      const std::int64_t bytes = k * n * size;
      const bool one_pass = m <= blocking.rows_two_panels || (tiles == 1 && bytes <= kCachedBytes);
      if (b.col_stride == 1 && (one_pass || (threads == 1 && bytes <= kDirectBytes))) {
        direct = GemmDirect::by_rows;
      } else if (b.row_stride == 1 && m <= blocking.rows_four_panels) {
        direct = GemmDirect::by_columns;
      }
    }
    const std::int64_t group = direct == GemmDirect::by_columns ? 1 : blocking.panels_for(tile_rows);
    // Rows of B that are read in place are followed as far as possible, for the sake of the prefetcher.
    const std::int64_t most_depth = direct == GemmDirect::by_columns ? kColumnDepth : blocking.depth;
    const std::int64_t blocks = std::max<std::int64_t>(1, ceil_div(k, most_depth));
    depth_block = std::max<std::int64_t>(1, ceil_div(k, blocks));
    const bool packs_b = !prepacked && direct == GemmDirect::no;
    if (m <= kFlatRows && (m <= n || direct != GemmDirect::no)) {
      cut_columns(tiles, ceil_div(panels, group));
      share_a = row_tasks * col_tasks > 1;
      if (share_a) stage_depth = std::min(stage_depth, stage_blocks(m) * depth_block);
    } else {
      share_b = packs_b;
      if (share_b) choose_stage(panels);
      cut_rows(tiles, ceil_div(stage_cols, blocking.panel));
    }
    const std::int64_t stage_panels = ceil_div(stage_cols, blocking.panel);
    if (share_a) shared_bytes = m * stage_depth * size;
    if (share_b) shared_bytes = stage_panels * blocking.panel * stage_depth * size;
    shared_bytes = round_up(shared_bytes, 64);
    if (!share_a) own_a_bytes = round_up(ceil_div(tiles, row_tasks) * tile_rows * depth_block * size, 64);
    own_bytes = own_a_bytes;
    if (packs_b && !share_b) {
      own_bytes += std::min(strip_panels, panels) * blocking.panel * depth_block * size;
    }
    own_bytes = round_up(own_bytes, 64);
  }

  std::size_t workspace() const { return static_cast<std::size_t>(shared_bytes + threads * own_bytes); }

 private:
  // Blocks of k in a stage of a shared operand that is this wide.
  std::int64_t stage_blocks(std::int64_t width) const {
    return std::max<std::int64_t>(1, shared_budget / (width * size * depth_block));
  }

  void choose_stage(std::int64_t panels) {
    const std::int64_t most =
        std::max<std::int64_t>(1, shared_budget / (blocking.panel * size * depth_block));
    if (panels > most) {
      stage_cols = ceil_div(panels, ceil_div(panels, most)) * blocking.panel;
      stage_depth = depth_block;
    } else {
      stage_depth = std::min(stage_depth, stage_blocks(panels * blocking.panel) * depth_block);
    }
  }

  // A few tasks for each thread, so that a late or slow one costs little.
  void cut_columns(std::int64_t tiles, std::int64_t groups) {
    if (threads == 1) return;
    col_tasks = std::min<std::int64_t>(groups, 4 * threads);
    if (col_tasks < threads) row_tasks = std::min(tiles, ceil_div(2 * threads, col_tasks));
  }

  void cut_rows(std::int64_t tiles, std::int64_t panels) {
    constexpr std::int64_t kFewTiles = 4;
    row_tasks = ceil_div(tiles * tile_rows * depth_block * size, kOwnBytes);
    if (threads > 1) {
      row_tasks = std::max(row_tasks, std::min<std::int64_t>(4 * threads, ceil_div(tiles, kFewTiles)));
      // Splitting columns makes several tasks pack the same rows.
      if (row_tasks < 2 * threads)
        col_tasks = std::min(ceil_div(panels, 2), ceil_div(2 * threads, row_tasks));
    }
    if (row_tasks > threads) row_tasks = round_up(row_tasks, threads);
    row_tasks = std::min(row_tasks, tiles);
  }
};

char* offset(const void* data, std::int64_t elements, std::int64_t size) {
  return static_cast<char*>(const_cast<void*>(data)) + elements * size;
}

// Rows [row, row + rows) and columns [col, col + cols).
DenseView window(const DenseView& v, std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols,
                 std::int64_t size) {
  return {offset(v.data, row * v.row_stride + col * v.col_stride, size), rows, cols, v.row_stride,
          v.col_stride};
}

void pack_all(const FoundKernel& pack, const GemmPackArgs& args, int threads) {
  const std::int64_t panels = ceil_div(args.across, args.width);
  const std::int64_t tasks = std::min<std::int64_t>(panels, threads == 1 ? 1 : 4 * threads);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    pack.run(&args, panels * task / tasks, panels * (task + 1) / tasks, thread, nullptr);
  });
}

// C = A B in the dtype of the chain; `packed`, if any, is B from its column `packed_col` on.
Status multiply(const DenseView& a, const DenseView& b, const PackedMatrix* packed, std::int64_t packed_col,
                const DenseView& c, const GemmTypes& types, const Kernels& kernels, int most_threads,
                bool swapped) {
  const std::int64_t m = c.rows, n = c.cols, k = a.cols;
  const std::int64_t a_size = bytes_of(types.left), b_size = bytes_of(types.right);
  const Schedule s(m, n, k, types, kernels.block.isa, most_threads, packed != nullptr, b);
  const Workspace memory(s.workspace());
  char* const shared = static_cast<char*>(memory.data());
  if (shared == nullptr) return Status::no_memory;

  GemmBlockArgs args{};
  args.pack_left = kernels.pack_left.run;
  args.pack_right = kernels.pack_right.run;
  args.a_size = a_size;
  args.b_size = b_size;
  args.swapped = swapped;
  args.direct = s.direct;
  args.fetch_ahead = k * n * b_size > kCachedBytes;
  args.tile_rows = s.tile_rows;
  args.depth_block = s.depth_block;
  args.strip_panels = s.strip_panels;
  args.row_tasks = s.row_tasks;
  args.own_a_bytes = s.own_a_bytes;
  args.packed_a = s.share_a ? shared : nullptr;

  for (std::int64_t col = 0; col < n; col += s.stage_cols) {
    const std::int64_t cols = std::min(s.stage_cols, n - col);
    args.c = window(c, 0, m, col, cols, s.size);
    args.col_tasks = std::min(s.col_tasks, ceil_div(cols, s.blocking.panel));
    // With k = 0 there is one stage without depth, which clears C.
    for (std::int64_t k0 = 0; k0 == 0 || k0 < k; k0 += s.stage_depth) {
      const std::int64_t depth = std::min(s.stage_depth, k - k0);
      args.a = window(a, 0, m, k0, depth, a_size);
      args.first = k0 == 0;
      if (packed != nullptr) {
        args.packed_b = offset(packed->data(), packed_col * k, s.size);
        args.packed_b_depth = k;
        args.packed_b_offset = k0;
      } else {
        args.b = window(b, k0, depth, col, cols, b_size);
      }
      if (s.share_a) {
        pack_all(kernels.pack_left,
                 {args.a.data, m, a.row_stride, depth, a.col_stride, s.tile_rows, 1, shared}, s.threads);
      }
      if (s.share_b) {
        args.packed_b = shared;
        args.packed_b_depth = depth;
        pack_all(
            kernels.pack_right,
            {args.b.data, cols, b.col_stride, depth, b.row_stride, s.blocking.panel, s.strip_panels, shared},
            s.threads);
      }
      parallel::run(s.threads, args.row_tasks * args.col_tasks, [&](std::int64_t task, int thread) {
        kernels.block.run(&args, task, task + 1, thread, shared + s.shared_bytes + thread * s.own_bytes);
      });
    }
  }
  return Status::ok;
}

// Whether to compute C^T = B^T A^T: lanes should run along a unit stride of C, but not along a
// dimension that fills only a part of one vector.
bool better_transposed(const DenseView& c, std::int64_t k, int lanes) {
  const bool unit_cols = c.col_stride == 1 || c.cols == 1, unit_rows = c.row_stride == 1 || c.rows == 1;
  const bool by_stride = unit_cols == unit_rows ? c.rows > c.cols : unit_rows;
  const std::int64_t in_lanes = by_stride ? c.rows : c.cols, other = by_stride ? c.cols : c.rows;
  const bool starved = 2 * in_lanes <= lanes && other >= 2 * in_lanes && k >= 16;
  return by_stride != starved;
}

// A result that is stored narrower than the chain's dtype is computed in strips of about this size, each
// of which is rounded before it leaves the caches. Both operands are packed anew for each strip, so that
// strips are wide as well as high.
constexpr std::int64_t kStripElements = std::int64_t{1} << 20;
constexpr std::int64_t kStripColumns = 2048;
constexpr std::int64_t kRoundedPerTask = 1 << 14;

Status multiply_rounded(const DenseView& a, const DenseView& b, const PackedMatrix* packed,
                        const DenseView& c, const GemmTypes& types, const Kernels& kernels, int threads,
                        bool swapped) {
  const std::int64_t columns = std::min(c.cols, packed != nullptr ? 2 * kStripColumns : kStripColumns);
  const std::int64_t rows = std::clamp<std::int64_t>(kStripElements / columns, 1, c.rows);
  const std::int64_t size = bytes_of(types.chain), out_size = bytes_of(types.out);
  const Workspace memory(static_cast<std::size_t>(rows * columns * size));
  if (memory.data() == nullptr) return Status::no_memory;
  for (std::int64_t col = 0; col < c.cols; col += columns) {
    const std::int64_t n = std::min(columns, c.cols - col);
    const DenseView right =
        packed != nullptr ? DenseView{} : window(b, 0, b.rows, col, n, bytes_of(types.right));
    for (std::int64_t row = 0; row < c.rows; row += rows) {
      const std::int64_t m = std::min(rows, c.rows - row);
      const DenseView strip{memory.data(), m, n, n, 1};
      const Status status = multiply(window(a, row, m, 0, a.cols, bytes_of(types.left)), right, packed, col,
                                     strip, types, kernels, threads, swapped);
      if (status != Status::ok) return status;
      const GemmRoundArgs args{strip, window(c, row, m, col, n, out_size)};
      const std::int64_t tasks = std::min(parallel::task_count(threads, m * n, kRoundedPerTask), m);
      parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
        kernels.round.run(&args, m * task / tasks, m * (task + 1) / tasks, thread, nullptr);
      });
    }
  }
  return Status::ok;
}

Status dispatch(const DenseView& a, const DenseView& b, const PackedMatrix* packed, DenseView c,
                const GemmTypes& types, const Kernels& kernels, int threads, bool swapped) {
  if (c.cols == 1) c.col_stride = 1;
  if (types.out == types.chain) {
    return multiply(a, b, packed, 0, c, types, kernels, threads, swapped);
  }
  return multiply_rounded(a, b, packed, c, types, kernels, threads, swapped);
}

}  // namespace

Status gemm(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types, Isa highest,
            int threads, bool swap_roles) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const Isa isa = gemm_isa(types.chain, highest);
  if (better_transposed(c, a.cols, gemm_blocking(isa, types.chain).lanes)) {
    const GemmTypes turned = types.transposed();
    return dispatch(b.transposed(), a.transposed(), nullptr, c.transposed(), turned, Kernels(turned, isa),
                    threads, !swap_roles);
  }
  return dispatch(a, b, nullptr, c, types, Kernels(types, isa), threads, swap_roles);
}

Status gemm(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
            int threads, bool swap_roles) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  return dispatch(a, {}, &b, c, types, Kernels(types, b.isa()), threads, swap_roles);
}

std::size_t prepacked_bytes(std::int64_t rows, std::int64_t cols, DType dtype, Isa highest) {
  const GemmBlocking blocking = gemm_blocking(gemm_isa(dtype, highest), dtype);
  return static_cast<std::size_t>(rows * round_up(cols, blocking.panel)) * size_of(dtype);
}

Status prepack_right(const DenseView& b, DType stored, DType chain, Isa highest, int threads,
                     PackedMatrix& packed) {
  const Kernels kernels({stored, stored, chain, chain}, highest);
  if (!packed.memory_.resize(prepacked_bytes(b.rows, b.cols, chain, highest))) return Status::no_memory;
  packed.rows_ = b.rows;
  packed.cols_ = b.cols;
  packed.dtype_ = chain;
  packed.isa_ = kernels.block.isa;
  const GemmBlocking blocking = gemm_blocking(packed.isa_, chain);
  if (b.rows > 0 && b.cols > 0) {
    pack_all(kernels.pack_right,
             {b.data, b.cols, b.col_stride, b.rows, b.row_stride, blocking.panel,
              strip_of(blocking, bytes_of(chain)), packed.memory_.data()},
             threads);
  }
  return Status::ok;
}

Isa gemm_isa(DType dtype, Isa highest) {
  return find_kernel(KernelId::gemm_block, dtype, IndexType::i32, highest).isa;
}

std::size_t gemm_workspace(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, Isa highest,
                           int threads) {
  if (m == 0 || n == 0) return 0;
  return Schedule(m, n, k, GemmTypes::all(dtype), gemm_isa(dtype, highest), threads, false, {}).workspace();
}

}  // namespace deepgemm
