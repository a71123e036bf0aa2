// deepgemm._core: the C++ core as Python sees it. Checks that concern users are made in Python; what
// is checked in these files keeps a wrong call from inside the package from touching memory it must not.
#include <pybind11/stl.h>

#include "bindings/bound.h"
#include "core/cpu.h"
#include "core/kernel_table.h"
#include "core/parallel.h"

#if defined(_WIN32)
#define DG_EXPORT extern "C" __declspec(dllexport)
#else
#define DG_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// For threadpoolctl, which finds these by name in the loaded library.
DG_EXPORT int deepgemm_get_num_threads() { return deepgemm::parallel::process_limit(); }
DG_EXPORT void deepgemm_set_num_threads(int threads) { deepgemm::parallel::set_process_limit(threads); }

namespace deepgemm::bindings {
namespace {

py::dict cpu_info() {
  const cpu::Info& info = cpu::info();
  py::list found, compiled, usable;
  for (const Isa isa : info.isas) found.append(cpu::name_of(isa));
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::sve, Isa::neon, Isa::rvv, Isa::scalar}) {
    if (is_compiled(isa)) compiled.append(cpu::name_of(isa));
    if (is_usable(isa)) usable.append(cpu::name_of(isa));
  }
  py::dict out;
  out["name"] = info.name;
  out["isas"] = found;
  out["compiled"] = compiled;
  out["usable"] = usable;
  out["features"] = info.features;
  out["l1d"] = info.l1d;
  out["l2"] = info.l2;
  out["l3"] = info.l3;
  return out;
}

void add_threads(py::module_& m) {
  m.def("limit", &parallel::limit, "Threads that a product started by this thread may use.");
  m.def("process_limit", &parallel::process_limit);
  m.def("set_process_limit", &parallel::set_process_limit, py::arg("threads"));
  m.def("set_thread_limit", &parallel::set_thread_limit, py::arg("threads"),
        "Set this thread's own limit (0: none) and return the previous one.");
}

}  // namespace
}  // namespace deepgemm::bindings

PYBIND11_MODULE(_core, m) {
  using namespace deepgemm::bindings;
  m.doc() = "The C++ core of deepgemm.";
  add_structure(m);
  add_products(m);
  add_threads(m);
  add_sampled(m);
  add_segments(m);
  add_bags(m);
  add_ragged(m);
  add_bsr(m);
  add_transpose(m);
  add_tiled(m);
  add_stacks(m);
  add_runner(m);
  add_spgemm(m);
  add_rows(m);
  add_narrow(m);
  add_scaled(m);
  add_gemm(m);
  add_dense(m);
  m.def("cpu_info", &cpu_info);
  m.def("assume_feature", &deepgemm::cpu::assume, py::arg("feature"));
  m.def("best_isa", [] { return deepgemm::cpu::name_of(deepgemm::best_isa()); });
}
