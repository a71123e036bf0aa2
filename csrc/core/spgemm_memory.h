// What a thread lends to sparse × sparse kernels, kept between products like core/workspace.h keeps its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "core/workspace.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace deepgemm {

// Zeroed memory whose borrowers leave it zeroed, so that a small product with many columns does not pay
// for clearing them. calloc's fresh pages are zero without being touched.
class CleanBuffer {
 public:
  CleanBuffer() = default;
  CleanBuffer(CleanBuffer&& other) noexcept : raw_(other.raw_), bytes_(other.bytes_) {
    other.raw_ = nullptr;
    other.bytes_ = 0;
  }
  CleanBuffer& operator=(CleanBuffer&&) = delete;
  ~CleanBuffer() { free(); }

  // At least `bytes` of zeros, aligned to 64; null when there is no memory.
  void* at_least(std::size_t bytes) {
    if (bytes_ < bytes || raw_ == nullptr) {
      free();
      raw_ = std::calloc(bytes + kAlignment, 1);
      bytes_ = raw_ != nullptr ? bytes : 0;
    }
    if (raw_ == nullptr) return nullptr;
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(raw_);
    return reinterpret_cast<void*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }
  void free() {
    std::free(raw_);
    raw_ = nullptr;
    bytes_ = 0;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  void* raw_ = nullptr;
  std::size_t bytes_ = 0;
};

// Fresh pages of 4 KiB take longer to be handed out than to be filled.
inline void ask_for_huge_pages(void* data, std::size_t bytes) {
#if defined(__linux__)
  constexpr std::uintptr_t kPage = std::uintptr_t{2} << 20;
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  static_cast<void>(data);
  static_cast<void>(bytes);
#endif
}

// Tells the system that these pages are not needed. Their contents are lost.
inline void give_back_pages(void* data, std::size_t bytes) {
#if defined(__linux__)
  constexpr std::uintptr_t kPage = 4096;
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
#else
  static_cast<void>(data);
  static_cast<void>(bytes);
#endif
}

// Memory for results of unknown size, a stretch at a time: reserve what may be needed, keep what was.
// Pages of a stretch that were not written are not touched.
class Arena {
 public:
  // Null when there is no memory. The stretch is aligned to 64 bytes and lies in block().
  void* reserve(std::size_t bytes) {
    for (; block_ < blocks_.size(); ++block_, used_ = 0) {
      if (blocks_[block_]->bytes >= used_ + bytes) return at(used_);
    }
    // Blocks grow, so that a large result has few of them, but stay small against it: while the result is
    // put together, each arena holds one that is partly done.
    const std::size_t grown = blocks_.empty() ? kLeastBlock : std::min(2 * blocks_.back()->bytes, kMostBlock);
    try {
      blocks_.push_back(std::make_unique<Block>(std::max(bytes, grown)));
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    const AlignedBuffer& memory = blocks_.back()->memory;
    if (memory.data() == nullptr) {
      blocks_.pop_back();
      return nullptr;
    }
    ask_for_huge_pages(memory.data(), memory.bytes());
    return at(0);
  }
  void keep(std::size_t bytes) {
    used_ += (bytes + 63) / 64 * 64;
    blocks_[block_]->stretches.fetch_add(1, std::memory_order_relaxed);
  }
  std::size_t block() const { return block_; }

  // A stretch that was kept in that block is not needed any more, and nothing will be reserved until the next
  // rewind and trim: the memory of the last one goes back to the system, unless the block is one that
  // outlives the product. Several threads may call it.
  void done(std::size_t block, std::size_t most) {
    Block& own = *blocks_[block];
    if (own.stretches.fetch_sub(1, std::memory_order_acq_rel) > 1 || block < kept_blocks(most)) return;
    give_back_pages(own.memory.data(), own.bytes);
    own.memory.free();
  }

  void rewind() {
    block_ = used_ = 0;
    for (const auto& block : blocks_) block->stretches = 0;
  }
  // Gives back blocks beyond `most` bytes.
  void trim(std::size_t most) { blocks_.resize(kept_blocks(most)); }

 private:
  static constexpr std::size_t kLeastBlock = std::size_t{4} << 20, kMostBlock = std::size_t{8} << 20;
  struct Block {
    explicit Block(std::size_t size) : memory(size), bytes(size) {}
    AlignedBuffer memory;
    const std::size_t bytes;                 // also once the memory has gone
    std::atomic<std::int64_t> stretches{0};  // of results in use
  };

  // How many of the first blocks take up to `most` bytes; those are never freed.
  std::size_t kept_blocks(std::size_t most) const {
    std::size_t total = 0, kept = 0;
    while (kept < blocks_.size() && total + blocks_[kept]->bytes <= most) total += blocks_[kept++]->bytes;
    return kept;
  }
  void* at(std::size_t offset) const { return static_cast<char*>(blocks_[block_]->memory.data()) + offset; }

  std::vector<std::unique_ptr<Block>> blocks_;
  std::size_t block_ = 0, used_ = 0;
};

struct SpgemmScratch {
  static constexpr std::size_t kArenaShare = 4;  // of what a thread retains, for each of the two
  CleanBuffer accumulators, table;
  AlignedBuffer order, best, met;
  Arena columns, values;

  void trim(std::size_t most) {
    if (accumulators.bytes() > most / 4) accumulators.free();
    if (table.bytes() > most / 8) table.free();
    if (order.bytes() > most / 16) order.free();
    if (best.bytes() > most / 16) best.free();
    if (met.bytes() > most / 16) met.free();
    columns.trim(most / kArenaShare);
    values.trim(most / kArenaShare);
  }
};

// Takes the calling thread's scratch for the time of one product and puts it back, trimmed. A product
// inside a product (a finalizer of Python may run one) finds none and makes its own.
class BorrowedScratch {
 public:
  explicit BorrowedScratch(int threads) {
    scratch_.swap(kept());
    if (scratch_.size() < static_cast<std::size_t>(threads)) scratch_.resize(threads);
    for (SpgemmScratch& mine : scratch_) {
      mine.columns.rewind();
      mine.values.rewind();
    }
  }
  ~BorrowedScratch() {
    for (SpgemmScratch& mine : scratch_) mine.trim(retained());
    scratch_.swap(kept());
  }
  BorrowedScratch(const BorrowedScratch&) = delete;
  BorrowedScratch& operator=(const BorrowedScratch&) = delete;

  // A piece of the result that lies in these blocks has been copied.
  void done(int thread, std::size_t column_block, std::size_t value_block) {
    SpgemmScratch& mine = (*this)[thread];
    mine.columns.done(column_block, retained() / SpgemmScratch::kArenaShare);
    mine.values.done(value_block, retained() / SpgemmScratch::kArenaShare);
  }

  SpgemmScratch& operator[](int thread) { return scratch_[static_cast<std::size_t>(thread)]; }

 private:
  static constexpr std::size_t kRetainedBytes = std::size_t{64} << 20;
  std::size_t retained() const { return kRetainedBytes / scratch_.size(); }
  static std::vector<SpgemmScratch>& kept() {
    static thread_local std::vector<SpgemmScratch> mine;
    return mine;
  }

  std::vector<SpgemmScratch> scratch_;
};

}  // namespace deepgemm
