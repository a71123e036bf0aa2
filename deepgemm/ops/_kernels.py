"""The list of all kernels, in the order in which the planner looks at them: the one place that loads them."""

from __future__ import annotations

from ..kernels import registry
from ..kernels.native.bsr import BlockDense, BlockScatter, BlockVector
from ..kernels.native.bsr_integers import BlockIntegers
from ..kernels.native.bsr_narrow import NarrowBlocks
from ..kernels.native.csr import RowWise, Scatter, Vector
from ..kernels.native.csr_csr import CsrCsr, CsrCsrDense, CsrCsrTop
from ..kernels.native.csr_narrow import NarrowRows
from ..kernels.native.csr_tiled import Tiled
from ..kernels.native.csr_tiled_narrow import NarrowTiles
from ..kernels.native.gemm import DenseAsCsr, Gemm
from ..kernels.native.gemm_halves import GemmHalves
from ..kernels.native.gemm_integer import GemmIntegers
from ..kernels.native.gemm_pairs import GemmPairs
from ..kernels.native.gemm_split import GemmSplit
from ..kernels.native.members import member as member
from ..kernels.native.narrow import NarrowHalves, QuantizedInPlace, QuantizedPanels
from ..kernels.native.quantized import Dequantized, DequantizedPanels, WholeGroups
from ..kernels.native.sampled import SampledDots, SampledExact
from ..kernels.native.sell import SellVector
from ..kernels.native.sell_narrow import NarrowSell
from ..kernels.native.split import SplitRows
from ..kernels.native.symmetric import KERNELS as SYMMETRIC
from ..kernels.scipy import NumPy, SciPy

registry.register(
    RowWise(),
    Tiled(),
    Scatter(),
    Vector(),
    SellVector(),
    SplitRows(),
    NarrowRows(),
    NarrowTiles(),
    NarrowSell(),
    Gemm(),
    DenseAsCsr(),
    GemmIntegers(),
    NarrowHalves(),
    GemmSplit(),
    GemmPairs(),
    GemmHalves(),
    BlockDense(),
    BlockScatter(),
    BlockVector(),
    BlockIntegers(),
    NarrowBlocks(),
    CsrCsr(),
    CsrCsrTop(),
    CsrCsrDense(),
    DequantizedPanels(),
    Dequantized(),
    QuantizedInPlace(),
    QuantizedPanels(),
    WholeGroups(),
    *SYMMETRIC,
    SampledDots(),
    SampledExact(),
    SciPy(),
    NumPy(),
)
