"""What a kernel tells the planner about itself, and the ordered list of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from .. import _core
    from ..planner.machine import Machine
    from ..planner.problem import Problem

__all__ = ["ORDER", "Cost", "Executable", "Kernel", "find", "kernels", "names", "register"]

ORDER = "rounds in an order of its own; reproducible=False admits it"
"""Why a kernel that does not keep the stated order is refused by default."""


class Cost(NamedTuple):  # a tuple, because each plan makes one for every kernel
    """What a kernel expects one product to cost on a machine.

    Attributes
    ----------
    seconds : float
        One call, everything counted that happens in each call.
    conversion : float
        Once, before the first call, for layouts that do not exist yet.
    workspace : int
        Bytes beyond operands, layouts and result during a call.
    layout_bytes : int
        Bytes that the layouts take.
    threads : int
        How many threads are worth their start.
    layout : str or None
        Name of the copy of the fixed operand that is wanted, None for none.
    """

    seconds: float
    conversion: float = 0.0
    workspace: int = 0
    layout_bytes: int = 0
    threads: int = 1
    layout: str | None = None


class Executable(NamedTuple):
    """A kernel with its fixed operand, ready to run.

    Attributes
    ----------
    product : _core.Product or None
        Native kernel; None if `callback` does everything.
    fallback : _core.Product or None
        Native kernel without crossing, for other operands that hold inf or nan.
    callback : callable or None
        `callback(other, out)`, where `out` may be None, returns the result; for anything that is
        not a native kernel on operands of the accumulator's dtype.
    transposed : bool
        Whether `product` wants the transposes of the other operand and of the result.
    """

    product: _core.Product | None = None
    fallback: _core.Product | None = None
    callback: Callable[[Any, Any], Any] | None = None
    transposed: bool = False


class Kernel:
    """Base of all adapters: what one algorithm supports, costs and needs.

    To add a kernel: derive from this class, fill in the attributes and methods, and list it in
    `ops/_kernels.py`.

    Attributes
    ----------
    name, provider : str
        What `explain()` and `kernel=` call it, and who runs it.
    op : str
        The operation it serves.
    native : bool
        Whether it is compiled for each ISA, so that forcing an ISA concerns it.
    quantized : bool
        Whether it reads quantised operands; other kernels are not asked where there is one.
    codes : bool
        Whether it reads sparse quantised operands: as they are stored, or through a layout of what their
        values stand for, which is what `data` of such an operand gives.
    epilogues : bool
        Whether its products do an epilogue themselves (`csrc/core/epilogue.h`) before they round; over the
        results of others goes one more pass.
    stacks : bool
        Whether the operand that is kept may be a stack of matrices.
    feature : str or None
        Instructions that the CPU must have, one of `deepgemm.config.FEATURES`; such a kernel runs at AVX-512
        only, and `kernel="avx512_<feature>"` asks for it.
    summary : str
        One line for `show_kernels()`.
    """

    name: ClassVar[str]
    provider: ClassVar[str] = "native"
    op: ClassVar[str] = "matmul"
    native: ClassVar[bool] = True
    quantized: ClassVar[bool] = False
    codes: ClassVar[bool] = False
    epilogues: ClassVar[bool] = False
    stacks: ClassVar[bool] = False
    feature: ClassVar[str | None] = None
    summary: ClassVar[str] = ""

    def refuse(self, problem: Problem) -> str | None:
        """Return why this kernel cannot do the problem, or None if it can."""
        raise NotImplementedError

    def exact(self, problem: Problem) -> bool:
        """Whether the result has the stated order of rounding."""
        return True

    def crosses(self, problem: Problem) -> bool:
        """Whether zeros turn structural or back, so that inf and nan need the fallback."""
        return False

    def cost(self, problem: Problem, machine: Machine, isa: str) -> Cost:
        """Return the predicted cost on this machine."""
        raise NotImplementedError

    def prepare(self, problem: Problem, left: Any, right: Any, isa: str | None) -> Executable:
        """Build what is missing (layouts, packed operands) and return the ready kernel."""
        raise NotImplementedError


_registered: list[Kernel] = []
_by_op: dict[str | None, tuple[Kernel, ...]] = {}


def register(*kernels: Kernel) -> None:
    """Append kernels to the list; a kernel of the same name and operation takes the old one's place."""
    for kernel in kernels:
        for position, known in enumerate(_registered):
            if (known.op, known.name) == (kernel.op, kernel.name):
                _registered[position] = kernel
                break
        else:
            _registered.append(kernel)
    _by_op.clear()


def kernels(op: str | None = None) -> tuple[Kernel, ...]:
    """Return the kernels of an operation (or all) in their order of registration."""
    found = _by_op.get(op)
    if found is None:
        found = _by_op[op] = tuple(kernel for kernel in _registered if op is None or kernel.op == op)
    return found


def find(op: str, name: str) -> Kernel:
    """Return the kernel of that name and operation."""
    return next(kernel for kernel in kernels(op) if kernel.name == name)


def names(op: str | None = None) -> tuple[str, ...]:
    """Return the names of the kernels of an operation, or of all, each once."""
    return tuple(dict.fromkeys(kernel.name for kernel in kernels(op)))
