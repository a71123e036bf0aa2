// Scratch memory that a calling thread keeps between products, because the page faults of fresh
// megabytes cost about a tenth of a 1024 x 1024 x 1024 product.
#pragma once

#include <cstddef>
#include <new>

#include "core/pages.h"

namespace deepgemm {

// Owns aligned, uninitialised memory; data() is null when it could not be had.
class AlignedBuffer {
 public:
  static constexpr std::align_val_t kAlignment{64};

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes) { resize(bytes); }
  AlignedBuffer(AlignedBuffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr;
    other.bytes_ = 0;
  }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    if (this != &other) {
      free();
      data_ = other.data_;
      bytes_ = other.bytes_;
      other.data_ = nullptr;
      other.bytes_ = 0;
    }
    return *this;
  }
  ~AlignedBuffer() { free(); }

  // Drops the contents. False, and an empty buffer, when there is no memory.
  bool resize(std::size_t bytes) {
    free();
    data_ = ::operator new(bytes > 0 ? bytes : 1, alignment(bytes), std::nothrow);
    bytes_ = data_ != nullptr ? bytes : 0;
    if (bytes_ >= pages::kLarge) pages::prefer_large(data_, bytes_);
    return data_ != nullptr;
  }
  void free() {
    ::operator delete(data_, alignment(bytes_));
    data_ = nullptr;
    bytes_ = 0;
  }
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  static std::align_val_t alignment(std::size_t bytes) {
    return bytes >= pages::kLarge ? std::align_val_t{pages::kAlignment} : kAlignment;
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Borrows the calling thread's scratch for one product; what exceeds the bound on retention is
// returned to the system at the end. A product within a product has scratch of its own, and from the
// third level on memory that is not kept.
class Workspace {
 public:
  static constexpr std::size_t kRetainedBytes = std::size_t{32} << 20;

  explicit Workspace(std::size_t bytes) {
    Kept& mine = kept();
    if (mine.lent == kLevels) {
      own_.resize(bytes);
      data_ = own_.data();
      return;
    }
    AlignedBuffer& buffer = mine.buffers[mine.lent];
    if (buffer.data() == nullptr || buffer.bytes() < bytes) buffer.resize(bytes);
    data_ = buffer.data();
    borrowed_ = data_ != nullptr;
    mine.lent += borrowed_;
  }
  ~Workspace() {
    if (!borrowed_) return;
    Kept& mine = kept();
    AlignedBuffer& buffer = mine.buffers[--mine.lent];
    if (buffer.bytes() > kRetainedBytes) buffer.free();
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  void* data() const { return data_; }  // 64-byte aligned; null when there is no memory

 private:
  static constexpr int kLevels = 2;
  struct Kept {
    AlignedBuffer buffers[kLevels];
    int lent = 0;
  };
  static Kept& kept() {
    static thread_local Kept mine;
    return mine;
  }

  AlignedBuffer own_;
  void* data_ = nullptr;
  bool borrowed_ = false;
};

}  // namespace deepgemm
