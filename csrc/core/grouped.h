// Many dense products in one call, each of its own size: those of the segments of a ragged array.
#pragma once

#include <cstdint>

#include "core/gemm.h"

namespace deepgemm {

// One product C = A B.
struct GroupMember {
  DenseView a, b, c;
};

// Does all of them; no C overlaps another one or an operand. Members that share B and follow each other in
// A and C become one: `members` is used up.
Status multiply_members(GroupMember* members, std::int64_t count, const GemmTypes& types, Isa highest,
                        int threads);

}  // namespace deepgemm
