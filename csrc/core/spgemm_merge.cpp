#include "core/spgemm_merge.h"

#include <algorithm>
#include <new>
#include <utility>

namespace deepgemm {

template <class T, class I>
bool MergedParts::merge_row(SpgemmPieces& pieces, std::int64_t first, int parts, std::int64_t most) {
  std::vector<std::pair<T, I>> best;
  for (int part = 0; part < parts; ++part) {
    SpgemmPiece& piece = pieces[first + part];
    for (std::int64_t e = 0; e < piece.entries; ++e) {
      best.emplace_back(static_cast<const T*>(piece.values)[e], static_cast<const I*>(piece.columns)[e]);
    }
    piece.entries = 0;
  }
  // Parts ascend by column and each of them is ranked, so equal values are in order if they keep theirs.
  std::stable_sort(best.begin(), best.end(), [](const auto& x, const auto& y) {
    const bool x_nan = x.first != x.first, y_nan = y.first != y.first;
    return y_nan ? !x_nan : x.first > y.first;
  });
  const std::size_t kept = std::min(best.size(), static_cast<std::size_t>(most));
  AlignedBuffer columns(kept * sizeof(I)), values(kept * sizeof(T));
  if (columns.data() == nullptr || values.data() == nullptr) return false;
  for (std::size_t e = 0; e < kept; ++e) {
    static_cast<T*>(values.data())[e] = best[e].first;
    static_cast<I*>(columns.data())[e] = best[e].second;
  }
  pieces[first].entries = static_cast<std::int64_t>(kept);
  pieces[first].columns = columns.data();
  pieces[first].values = values.data();
  memory_.push_back(std::move(columns));
  memory_.push_back(std::move(values));
  return true;
}

bool MergedParts::merge(SpgemmPieces& pieces, std::int64_t most, DType dtype, IndexType type) {
  try {
    for (std::int64_t p = 0; p < pieces.count(); ++p) {
      if (pieces[p].split == nullptr || pieces[p].part != 0) continue;
      const int parts = pieces[p].split->parts();
      const bool narrow = type == IndexType::i32, single = dtype == DType::f32;
      const bool merged = single && narrow ? merge_row<float, std::int32_t>(pieces, p, parts, most)
                          : single         ? merge_row<float, std::int64_t>(pieces, p, parts, most)
                          : narrow         ? merge_row<double, std::int32_t>(pieces, p, parts, most)
                                           : merge_row<double, std::int64_t>(pieces, p, parts, most);
      if (!merged) return false;
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace deepgemm
