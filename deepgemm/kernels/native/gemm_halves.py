"""Native product of two dense float16 operands in float16 arithmetic."""

from __future__ import annotations

from .gemm_pairs import PairedGemm


class GemmHalves(PairedGemm):
    """Register tiles over pairs along K by vfmadd231ph, whose short chains are added up in float32.

    The order is that of `deepgemm.reference.matmul_halves`, the same on any threads and for any layout; how
    far an element may be off is said there. Typically it is 2.5 times 2**-11 of the result's standard
    deviation where operands are normally distributed: six times what rounding the result to float16 leaves
    anyway. Sums that overflow in float16, inf and nan are found, and the product is computed again in the
    stated order, so that no result is infinite that need not be. Members of a stack that are multiplied as
    one matrix are one product.

    Its `speed` is that of its instructions with float32's in the place of the one for float16
    (`csrc/kernels/gemm_halves-inl.h`): the kernel was verified by emulating that one, and not measured on
    hardware.
    """

    name = "gemm_halves"
    stored, feature, speed = "float16", "fp16", 1.75
    unlike = "sums in float16"
    summary = "dense × dense float16 in float16 arithmetic (AVX512-FP16); only if not reproducible"
