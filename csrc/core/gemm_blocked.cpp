#include "core/gemm_blocked.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Multiply-adds for each thread below which another one is not worth waking.
constexpr std::int64_t kWorkPerThread = std::int64_t{1} << 19;
// The operand that all tasks read is packed in stages of at least this size, or of this share of all three
// matrices up to the limit: larger stages read and pack the other operand less often. A stage stays in L3; of
// it only a panel or two have to be in L2 at a time.
constexpr std::int64_t kSharedBytes = std::int64_t{4} << 20;
constexpr std::int64_t kSharedPart = 16;
constexpr std::int64_t kMostSharedBytes = std::int64_t{8} << 20;
// Up to this many rows A is the operand to share, and tasks split columns.
constexpr std::int64_t kFlatRows = 192;

// Rows of C that B is streamed along stay in L1, and threads do not share rows of B shorter than this.
constexpr std::int64_t kStreamedBytes = 16 << 10;
constexpr std::int64_t kLeastStreamBytes = 4 << 10;

// A row of B is read this far while it is packed; a power of two of panels (16 x 4096 x 4096 84, 84, 92, 100
// GFLOP/s on one thread with 256 bytes, 512, 1 KB, 2 KB).
constexpr std::int64_t kStripBytes = 2048;

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
  std::int64_t starts_bytes = 0;  // of what the columns of B begin with, before B as it is packed
  GemmDirect direct = GemmDirect::no;

  Schedule(std::int64_t m, std::int64_t n, std::int64_t k, const GemmTypes& types, Isa isa, int most_threads,
           bool prepacked, const DenseView& b, std::int64_t depth_step = 1)
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
        direct = m <= blocking.rows_four_panels ? GemmDirect::streamed : GemmDirect::by_rows;
      } else if (b.row_stride == 1 && m <= blocking.rows_four_panels) {
        direct = GemmDirect::by_columns;
      }
    }
    const bool streamed = direct == GemmDirect::streamed;
    const std::int64_t panel_bytes = blocking.panel * size;
    std::int64_t group = direct == GemmDirect::by_columns ? 1 : blocking.panels_for(tile_rows);
    if (streamed) {
      strip_panels = std::max<std::int64_t>(kStreamedBytes / (panel_bytes * m), 1);
      group = std::clamp<std::int64_t>(panels / threads, 1, kLeastStreamBytes / panel_bytes);
    }
    // Rows of B that are read in place are followed as far as possible, for the sake of the prefetcher.
    const std::int64_t most_depth = direct == GemmDirect::by_columns ? kColumnDepth : blocking.depth;
    const std::int64_t blocks = std::max<std::int64_t>(1, ceil_div(k, most_depth));
    depth_block = round_up(std::max<std::int64_t>(1, ceil_div(k, blocks)), depth_step);
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
    const bool raised = types.chain == DType::i32 && types.left == DType::i8;
    if (packs_b && raised) starts_bytes = (share_b ? stage_panels : strip_panels) * blocking.panel * size;
    if (share_b) shared_bytes = starts_bytes + stage_panels * blocking.panel * stage_depth * size;
    shared_bytes = round_up(shared_bytes, 64);
    if (!share_a) own_a_bytes = round_up(ceil_div(tiles, row_tasks) * tile_rows * depth_block * size, 64);
    if (packs_b && !share_b) own_a_bytes += starts_bytes;
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

void pack_all(const FoundKernel& pack, const GemmPackArgs& args, int threads) {
  const std::int64_t panels = ceil_div(args.across, args.width);
  const std::int64_t tasks = std::min<std::int64_t>(panels, threads == 1 ? 1 : 4 * threads);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    pack.run(&args, panels * task / tasks, panels * (task + 1) / tasks, thread, nullptr);
  });
}

}  // namespace

GemmKernels::GemmKernels(const GemmTypes& types, Isa highest, KernelId block_id) {
  const bool groups = types.chain == DType::i32;
  const auto left = groups ? KernelId::gemm_group_left : KernelId::gemm_pack_left;
  const auto right = groups ? KernelId::gemm_group_right : KernelId::gemm_pack_right;
  block = find_kernel(block_id, types.chain, IndexType::i32, highest);
  pack_left = find_kernel(left, types.left, IndexType::i32, block.isa);
  pack_right = find_kernel(right, types.right, IndexType::i32, block.isa);
}

Status multiply_blocked(const GemmRequest& request, const DenseView& a, const DenseView& b,
                        const GemmPacked& packed, const DenseView& c, std::int64_t elements,
                        const GemmEnding* ending) {
  const GemmTypes& types = request.types;
  const GemmKernels& kernels = request.kernels;
  const std::int64_t m = c.rows, n = c.cols, k = a.cols;
  // Parts of an operand that is dequantised are told by their place.
  const std::int64_t a_size = bytes_of(types.left), b_size = request.scaling ? 0 : bytes_of(types.right);
  const Schedule s(m, n, k, types, kernels.block.isa, request.threads, packed.matrix != nullptr, b,
                   request.depth_step);
  const Workspace memory(s.workspace());
  char* const shared = static_cast<char*>(memory.data());
  if (shared == nullptr) return Status::no_memory;

  GemmBlockArgs args{};
  args.pack_left = kernels.pack_left.run;
  args.pack_right = kernels.pack_right.run;
  args.a_size = a_size;
  args.b_size = b_size;
  args.swapped = request.swapped;
  args.start_rows = request.start_rows;
  args.scaling = request.scaling;
  args.overflowed = request.overflowed;
  args.direct = s.direct;
  args.tile_rows = s.tile_rows;
  args.depth_block = s.depth_block;
  args.strip_panels = s.strip_panels;
  args.row_tasks = s.row_tasks;
  args.own_a_bytes = s.own_a_bytes;
  args.packed_a = s.share_a ? shared : nullptr;
  args.own_starts_bytes = s.share_b ? 0 : s.starts_bytes;
  auto* const starts = reinterpret_cast<std::int32_t*>(s.starts_bytes > 0 ? shared : nullptr);

  for (std::int64_t col = 0; col < n; col += s.stage_cols) {
    const std::int64_t cols = std::min(s.stage_cols, n - col);
    args.c = window(c, 0, m, col, cols, s.size);
    args.col_tasks = std::min(s.col_tasks, ceil_div(cols, s.blocking.panel));
    if (ending != nullptr) {
      args.ending = {args.c, window(ending->to, 0, m, col, cols, ending->to_size),
                     ending->terms.from(0, col, s.size)};
      args.to_size = ending->to_size;
    }
    // With k = 0 there is one stage without depth, which clears C.
    for (std::int64_t k0 = 0; k0 == 0 || k0 < k; k0 += s.stage_depth) {
      const std::int64_t depth = std::min(s.stage_depth, k - k0);
      args.a = window(a, 0, m, k0, depth, a_size);
      args.first = k0 == 0;
      args.epilogue = ending != nullptr && k0 + depth == k ? ending->run : nullptr;
      args.elements = elements - kGroup * k0;
      if (packed.matrix != nullptr) {
        args.packed_b = offset(packed.matrix->data(), packed.col * packed.matrix->rows(), s.size);
        args.packed_b_depth = packed.matrix->rows();
        args.packed_b_offset = packed.row + k0;
        args.start_cols = request.start_cols != nullptr && k0 == 0 ? request.start_cols + col : nullptr;
      } else {
        args.b = window(b, k0, depth, col, cols, b_size);
        args.scaled_row = packed.row + k0;
        args.scaled_col = packed.col + col;
      }
      if (s.share_a) {
        pack_all(kernels.pack_left,
                 {args.a.data, m, a.row_stride, depth, a.col_stride, s.tile_rows, 1, shared, args.elements},
                 s.threads);
      }
      if (s.share_b) {
        args.start_cols = starts;
        args.packed_b = shared + s.starts_bytes;
        args.packed_b_depth = depth;
        pack_all(
            kernels.pack_right,
            {args.b.data, cols, b.col_stride, depth, b.row_stride, s.blocking.panel, s.strip_panels,
             shared + s.starts_bytes, args.elements, args.scaling, args.scaled_row, args.scaled_col, starts},
            s.threads);
      }
      parallel::run(s.threads, args.row_tasks * args.col_tasks, [&](std::int64_t task, int thread) {
        kernels.block.run(&args, task, task + 1, thread, shared + s.shared_bytes + thread * s.own_bytes);
      });
    }
  }
  return Status::ok;
}

void pack_panels(const GemmKernels& kernels, const DenseView& b, DType chain, int threads, void* to,
                 std::int64_t elements, const GemmScaling* scaling) {
  const GemmBlocking blocking = gemm_blocking(kernels.block.isa, chain);
  pack_all(kernels.pack_right,
           {b.data, b.cols, b.col_stride, b.rows, b.row_stride, blocking.panel,
            strip_of(blocking, bytes_of(chain)), to, elements, scaling},
           threads);
}

std::size_t gemm_workspace(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, Isa highest,
                           int threads) {
  if (m == 0 || n == 0) return 0;
  return Schedule(m, n, k, GemmTypes::all(dtype), gemm_isa(dtype, highest), threads, false, {}).workspace();
}

}  // namespace deepgemm
