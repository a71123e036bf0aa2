// What this CPU and operating system can run, each feature checked separately.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/types.h"

namespace deepgemm::cpu {

struct Info {
  std::string name;
  std::vector<Isa> isas;                 // runnable here, best first; compiled or not
  std::vector<std::string> features;     // feature groups: vnni, bf16, fp16, amx
  std::int64_t l1d = 0, l2 = 0, l3 = 0;  // bytes; 0 where unknown
};

const Info& info();
bool has(const std::string& feature);
// From now on info() lists the feature too: for tests that emulate what this CPU lacks.
void assume(const std::string& feature);
const char* name_of(Isa isa);
bool parse(const std::string& text, Isa& isa);

}  // namespace deepgemm::cpu
