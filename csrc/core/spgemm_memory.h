// What a thread lends to sparse × sparse kernels, kept between products like core/workspace.h keeps its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
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

// Memory for results of unknown size, a stretch at a time: reserve what may be needed, keep what was.
// Pages of a stretch that were not written are not touched.
class Arena {
 public:
  // Null when there is no memory. The stretch is aligned to 64 bytes.
  void* reserve(std::size_t bytes) {
    for (; block_ < blocks_.size(); ++block_, used_ = 0) {
      if (blocks_[block_].bytes() >= used_ + bytes) return at(used_);
    }
    // Blocks grow, so that a large result has few of them.
    const std::size_t grown =
        blocks_.empty() ? kLeastBlock : std::min(2 * blocks_.back().bytes(), kMostBlock);
    AlignedBuffer block(std::max(bytes, grown));
    if (block.data() == nullptr) return nullptr;
    ask_for_huge_pages(block.data(), block.bytes());
    try {
      blocks_.push_back(std::move(block));
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    return at(0);
  }
  void keep(std::size_t bytes) { used_ += (bytes + 63) / 64 * 64; }
  void rewind() { block_ = used_ = 0; }
  // Gives back blocks beyond `most` bytes.
  void trim(std::size_t most) {
    std::size_t total = 0, kept = 0;
    while (kept < blocks_.size() && total + blocks_[kept].bytes() <= most) total += blocks_[kept++].bytes();
    blocks_.resize(kept);
  }

 private:
  static constexpr std::size_t kLeastBlock = std::size_t{4} << 20, kMostBlock = std::size_t{64} << 20;
  void* at(std::size_t offset) const { return static_cast<char*>(blocks_[block_].data()) + offset; }

  std::vector<AlignedBuffer> blocks_;
  std::size_t block_ = 0, used_ = 0;
};

struct SpgemmScratch {
  CleanBuffer accumulators, table;
  AlignedBuffer order, best;
  Arena columns, values;

  void trim(std::size_t most) {
    if (accumulators.bytes() > most / 4) accumulators.free();
    if (table.bytes() > most / 8) table.free();
    if (order.bytes() > most / 16) order.free();
    if (best.bytes() > most / 16) best.free();
    columns.trim(most / 4);
    values.trim(most / 4);
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
    for (SpgemmScratch& mine : scratch_) mine.trim(kRetainedBytes / scratch_.size());
    scratch_.swap(kept());
  }
  BorrowedScratch(const BorrowedScratch&) = delete;
  BorrowedScratch& operator=(const BorrowedScratch&) = delete;

  SpgemmScratch& operator[](int thread) { return scratch_[static_cast<std::size_t>(thread)]; }

 private:
  static constexpr std::size_t kRetainedBytes = std::size_t{64} << 20;
  static std::vector<SpgemmScratch>& kept() {
    static thread_local std::vector<SpgemmScratch> mine;
    return mine;
  }

  std::vector<SpgemmScratch> scratch_;
};

}  // namespace deepgemm
