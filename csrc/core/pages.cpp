#include "core/pages.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace deepgemm::pages {

void prefer_large(void* data, std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(data, bytes / kAlignment * kAlignment, MADV_HUGEPAGE);
#else
  static_cast<void>(data);
  static_cast<void>(bytes);
#endif
}

}  // namespace deepgemm::pages
