#include "core/attention.h"

#include <algorithm>

#include "core/gemm_args.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

// Work counts multiply-adds; a score costs this many beside, for its exponential, and a row of K and V this
// many for each element that is packed.
constexpr std::int64_t kWorkPerScore = 32;
constexpr std::int64_t kWorkPerPacked = 8;
constexpr std::int64_t kWorkPerPiece = 2000;
constexpr std::int64_t kWorkPerThread = std::int64_t{1} << 18;
constexpr std::int64_t kTasksPerThread = 8;
// A piece has at least so many register tiles: each packs the keys and values anew.
constexpr std::int64_t kLeastTiles = 6;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

class Pieces {
 public:
  Pieces(const AttentionArgs& args, std::int64_t segments, std::int64_t tile_rows, int threads)
      : args_(args), segments_(segments), group_(args.q.heads / args.k.heads), tile_rows_(tile_rows) {
    for (std::int64_t s = 0; s < segments; ++s) {
      total_ += args.k.heads * work(s, rows_of(s));
      keys_ = std::max(keys_, args.k.length(s));
    }
    threads_ = static_cast<int>(std::clamp<std::int64_t>(total_ / kWorkPerThread, 1, threads));
    per_task_ = threads_ == 1 ? total_ + 1 : ceil_div(total_, kTasksPerThread * threads_);
  }

  bool plan() {
    std::int64_t pieces = 0;
    for (std::int64_t s = 0; s < segments_; ++s) pieces += args_.k.heads * cuts(s);
    const std::size_t bytes = static_cast<std::size_t>(pieces) * sizeof(AttentionPiece);
    if (!memory_.resize(bytes +
                        static_cast<std::size_t>(kTasksPerThread * threads_ + 3) * sizeof(std::int64_t)))
      return false;
    pieces_ = static_cast<AttentionPiece*>(memory_.data());
    starts_ = reinterpret_cast<std::int64_t*>(pieces_ + pieces);
    std::int64_t at = 0, filled = per_task_;  // so that the first piece opens a task
    for (std::int64_t s = 0; s < segments_; ++s) {
      const std::int64_t parts = cuts(s), tiles = ceil_div(rows_of(s), tile_rows_);
      for (std::int64_t head = 0; head < args_.k.heads; ++head) {
        for (std::int64_t part = 0; part < parts; ++part) {
          const std::int64_t begin = tiles * part / parts * tile_rows_;
          const std::int64_t end = std::min(tiles * (part + 1) / parts * tile_rows_, rows_of(s));
          // Each piece packs its keys anew, so that pieces are more work than total_: the last task takes
          // what is left.
          if (filled >= per_task_ && tasks_ < kTasksPerThread * threads_ + 2) {
            starts_[tasks_++] = at;
            filled = 0;
          }
          pieces_[at++] = {s, head, begin, end - begin};
          filled += work(s, end - begin);
        }
      }
    }
    starts_[tasks_] = at;
    return true;
  }

  const AttentionPiece* data() const { return pieces_; }
  std::int64_t tasks() const { return tasks_; }
  std::int64_t start(std::int64_t task) const { return starts_[task]; }
  std::int64_t keys() const { return keys_; }
  int threads() const { return threads_; }

 private:
  std::int64_t rows_of(std::int64_t s) const { return args_.q.length(s) * group_; }

  // Of so many rows of a segment. A window or a causal mask halves it at most for whole segments, for all
  // alike.
  std::int64_t work(std::int64_t s, std::int64_t rows) const {
    const std::int64_t span =
        std::min(args_.k.length(s), args_.before) + std::min(args_.k.length(s), args_.after);
    const std::int64_t keys = std::min(args_.k.length(s), span + 1);
    const std::int64_t width = args_.k.width + args_.v.width;
    return rows * keys * (width + kWorkPerScore) + args_.k.length(s) * width * kWorkPerPacked + kWorkPerPiece;
  }

  // Pieces of one head of a segment; none where there are no queries.
  std::int64_t cuts(std::int64_t s) const {
    const std::int64_t tiles = ceil_div(rows_of(s), tile_rows_);
    const std::int64_t wanted = ceil_div(work(s, rows_of(s)), per_task_);
    return std::min(tiles, std::clamp<std::int64_t>(tiles / kLeastTiles, 1, wanted));
  }

  const AttentionArgs& args_;
  const std::int64_t segments_, group_, tile_rows_;
  std::int64_t total_ = 0, keys_ = 0, per_task_ = 1, tasks_ = 0;
  int threads_ = 1;
  AlignedBuffer memory_;
  AttentionPiece* pieces_ = nullptr;
  std::int64_t* starts_ = nullptr;
};

}  // namespace

Status attend(AttentionArgs args, std::int64_t segments, DType dtype, Isa highest, int threads) {
  const FoundKernel kernel = find_kernel(KernelId::attention, dtype, IndexType::i32, highest);
  const DType chain = dtype == DType::f64 ? DType::f64 : DType::f32;
  const GemmBlocking blocking = gemm_blocking(kernel.isa, chain);
  Pieces pieces(args, segments, blocking.tile_rows, threads);
  if (!pieces.plan()) return Status::no_memory;
  args.pieces = pieces.data();
  args.keys = pieces.keys();
  const std::int64_t bytes = AttentionSpace(args, blocking.tile_rows, blocking.panel).total *
                             static_cast<std::int64_t>(size_of(chain));
  const Workspace memory(static_cast<std::size_t>(bytes * pieces.threads()));
  char* const own = static_cast<char*>(memory.data());
  if (own == nullptr) return Status::no_memory;
  parallel::run(pieces.threads(), pieces.tasks(), [&](std::int64_t task, int thread) {
    kernel.run(&args, pieces.start(task), pieces.start(task + 1), thread, own + thread * bytes);
  });
  return Status::ok;
}

}  // namespace deepgemm
