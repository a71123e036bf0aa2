"""Plans: a chosen kernel bound to its fixed operand, callable."""

from __future__ import annotations

import json
import numbers
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _core
from ..config import Settings
from ..errors import DTypeError, FormatError, ShapeError, UnsupportedError
from ..kernels import registry
from ..sparse.base import SparseArray
from ..sparse.core import Factor
from ..sparse.quantized import Quantized
from .account import Terms
from .candidates import Candidate
from .casting import Casting, matrix_shape
from .decision import Decision, describe, log
from .ending import Ending, FinishedCallback
from .machine import Machine
from .problem import OperandSpec, Problem
from .report import Report
from .stacks import FoldedCallback, runner_options

__all__ = ["Plan", "QuantizedPlan", "SparsePlan", "build"]


class Plan(_core.Runner):
    """A product that is ready to run: call it with the operand that is not fixed.

    `plan(other)` returns the product and `plan(other, out=Y)` writes it to `Y`. Another shape or dtype
    raises; strides may differ. The call itself is one C++ function that checks everything.
    `plan(other, C=C, beta=b)` adds `b` (1, or what the plan was made with) times `C`, an array that
    broadcasts to the result, in its place among what follows the product.

    Attributes
    ----------
    decision : Decision
        The problem, machine, candidates and choice that led to it.

    Examples
    --------
    >>> import numpy as np
    >>> import deepgemm as dg
    >>> p = dg.plan(dg.CSR(np.eye(3)), np.ones(3), kernel="csr_vector")
    >>> p.kernel
    'csr_vector'
    >>> p(np.array([1.0, 2.0, 3.0]))
    array([1., 2., 3.])
    >>> p(np.array([1.0, 2.0, 3.0]), C=np.ones(3), beta=10)
    array([11., 12., 13.])
    """

    __slots__ = ("decision",)

    decision: Decision

    @property
    def problem(self) -> Problem:
        """What was known of the product."""
        return self.decision.problem

    @property
    def machine(self) -> Machine:
        """The rates that predictions were made with."""
        return self.decision.machine

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All kernels, ranked; the refused ones last."""
        return self.decision.candidates

    @property
    def chosen(self) -> Candidate:
        """The candidate that runs."""
        return self.decision.choice.candidate

    @property
    def kernel(self) -> str:
        """Name of the kernel that runs."""
        return self.chosen.kernel

    @property
    def isa(self) -> str:
        """ISA of the kernel that runs; empty if it is not native."""
        return self.chosen.isa

    def explain(self) -> Report:
        """Return why this kernel runs: a table in a terminal, with bars in a notebook."""
        return self.decision.explain()

    def to_json(self) -> str:
        """Return the decision as JSON, from which `deepgemm.planner.decision.replay` decides again."""
        return json.dumps(self.decision.to_dict(), indent=1)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a plan cannot be pickled or copied: it is bound to memory; to_json() saves its decision"
        )

    def __repr__(self) -> str:
        left, right = self.problem.left, self.problem.right
        return f"Plan({self.problem.op}: {describe(left)} × {describe(right)}, {self.chosen.name})"

    def _repr_html_(self) -> str:
        return self.explain()._repr_html_()


class SparsePlan(Plan):
    """A plan whose other operand and result are sparse arrays."""

    __slots__ = ("_owner", "_refusal", "_run")

    _owner: Factor
    _refusal: str
    _run: Callable[..., Any]

    def __call__(self, other: Any, *, out: Any = None, C: Any = None, beta: float | None = None) -> Any:
        """Return the sparse product with `other`."""
        for name, given in (("out", out), ("C", C), ("beta", beta)):
            if given is not None:
                raise UnsupportedError(
                    f"{self.problem.op}: {name}= takes dense results; that of two sparse operands is sparse"
                )
        return self._checked(other, SparseArray, "sparse", None)

    def _checked(
        self, other: Any, kind: type[SparseArray] | type[Quantized], name: str, out: Any, *added: Any
    ) -> Any:
        """Run with an operand of the class, shape and dtype that this plan was made for."""
        op, spec = self.problem.op, self.problem.other_spec
        if not isinstance(other, kind):
            raise DTypeError(f"{op}: this plan expects a {name} operand, got {type(other).__name__}")
        if other.shape != spec.shape:
            raise ShapeError(f"{op}: this plan expects an operand of shape {spec.shape}, got {other.shape}")
        if other.dtype != spec.dtype:
            raise DTypeError(f"{op}: this plan expects an operand of dtype {spec.dtype}, got {other.dtype}")
        self._owner._check_fresh()
        other._check_fresh()
        return self._run(other, out, *added)


class QuantizedPlan(SparsePlan):
    """A plan whose other operand is quantised; its result is dense."""

    __slots__ = ()

    def __call__(self, other: Any, *, out: Any = None, C: Any = None, beta: float | None = None) -> Any:
        """Return the product with `other`."""
        problem = self.problem
        if C is None and beta is not None:
            raise ValueError(f"{problem.op}: beta is {beta!r} but there is no C for it to scale")
        if C is not None and self._refusal:
            raise UnsupportedError(f"{problem.op}: {self._refusal}")
        if beta is not None and not isinstance(beta, numbers.Real):
            raise DTypeError(f"{problem.op}: beta is {beta!r}, expected a real number")
        if isinstance(other, Quantized) and (other.offsets is not None) != _has_offsets(problem.other_spec):
            raise DTypeError(f"{problem.op}: this plan expects an operand with the same kind of scaling")
        if out is not None:
            _check_out(problem, out, self._owner, other)
            if isinstance(C, np.ndarray) and np.may_share_memory(out, C):
                raise FormatError(f"{problem.op}: out shares memory with C; pass a separate array")
        added = () if C is None else (C, beta)
        return self._checked(other, Quantized, "quantised", out, *added)


def build(
    decision: Decision,
    left: Any,
    right: Any,
    terms: Terms,
    threads: int | None,
    options: Settings,
    ending: Ending | None = None,
) -> Plan:
    """Bind a decision to its operands: layouts are built here, if the choice needs any.

    Parameters
    ----------
    decision : Decision
    left, right : SparseArray or numpy.ndarray
        The operands that the problem describes; only the fixed one is kept.
    terms : Terms
        When the plan asks to be thought over.
    threads : int or None
        What the caller asked for; None follows the limit that holds at each call.
    options : Settings
        Whether shared memory is compared in full, and whether the plan is logged.
    ending : Ending, optional
        What follows each product.
    """
    problem, chosen = decision.problem, decision.choice.candidate
    kernel = registry.find(problem.op, chosen.kernel)
    # What follows the product sees it before it is rounded.
    whole = problem
    if ending is not None and ending.declared and (problem.stack or not kernel.epilogues):
        whole = replace(problem, output=problem.accumulator)
    executable = kernel.prepare(whole, left, right, chosen.isa or None)
    if executable.product is not None and executable.product.isa != chosen.isa:
        # The table had no entry at that ISA and went on to the next one.
        if problem.choice.isa is not None:
            raise UnsupportedError(
                f"{problem.op}: {problem.choice.argument} asks for {problem.choice.isa}, but {chosen.kernel} "
                f"for {problem.accumulator} is compiled up to {executable.product.isa}"
            )
        decision = _with_isa(decision, executable.product.isa)
    fixed = left if problem.fixed == "left" else right
    if options.verbose:
        log(decision.explain())
    if len(problem.sparse_sides) == 2 or len(problem.quantized_sides) == 2:
        sparse = SparsePlan() if problem.sparse_sides else QuantizedPlan()
        assert executable.callback is not None
        callback: Callable[..., Any] = executable.callback
        if ending is not None:
            output = np.dtype(problem.output)
            callback = FinishedCallback(callback, ending, output, chosen.isa or None, threads or 0)
        sparse.decision, sparse._owner, sparse._run = decision, fixed, callback
        sparse._refusal = _refusal(decision, ending, executable)
        return sparse
    plan = Plan()
    plan.decision = decision
    bind(plan, decision, executable, fixed, terms, threads, options, ending)
    return plan


def bind(
    plan: _core.Runner,
    decision: Decision,
    executable: registry.Executable,
    fixed: Any,
    terms: Terms,
    threads: int | None,
    options: Settings,
    ending: Ending | None = None,
) -> None:
    """Attach a kernel to a runner, through a second runner where operands or result need a cast."""
    problem = decision.problem
    other = problem.other_spec
    other_side = "right" if problem.fixed == "left" else "left"
    # A serial decision holds; otherwise the limit at each call counts, unless the caller set one.
    chosen = decision.choice.candidate
    serial = problem.threads > 1 and chosen.threads == 1
    use = 1 if serial else threads or 0
    right_name = "B" if problem.right.sparse else "X"
    fixed_name, other_name = ("A", right_name) if problem.fixed == "left" else (right_name, "A")
    common: dict[str, Any] = {
        "other_side": other_side,
        "transposed": executable.transposed,
        "threads": threads or 0 if problem.stack else use,
        "full_check": options.check,
        "names": (problem.op, fixed_name, other_name),
        **runner_options(problem, serial and problem.members * chosen.predicted > decision.machine.team),
    }
    native: dict[str, Any] = {
        "product": executable.product,
        "fallback": executable.fallback,
    }
    callback: Callable[..., Any] | None = executable.callback
    if callback is not None and problem.stack and not problem.kept_stack:
        callback = FoldedCallback(callback, problem)
    if callback is not None and ending is not None:
        callback = FinishedCallback(callback, ending, np.dtype(problem.output), chosen.isa or None, use)
    common["refusal"] = _refusal(decision, ending, executable)
    other_shape = problem.stack or other.shape
    fixed_is_vector = len(problem.fixed_spec.shape) == 1
    product = executable.product
    reads, gives = (other.dtype, problem.output) if product is None else product.dtypes
    casts = (reads, gives) != (other.dtype, problem.output)
    result_shape = matrix_shape(problem.output_shape, problem.fixed, fixed_is_vector)
    if callback is None and ending is not None:
        native |= {"ending": tuple(ending.kept.each(lambda term: term.reshape(result_shape)))}
        native |= {"place": ending.place}
    if callback is None and (fixed_is_vector or casts):
        inner = _core.Runner()
        inner._bind(
            **common,
            **native,
            other_shape=other_shape,
            other_dtype=np.dtype(reads),
            out_shape=result_shape,
            out_dtype=np.dtype(gives),
        )
        callback = Casting(inner, problem, reads, gives, ending)
        native = {"product": None}
    plan._bind(
        **common,
        **native,
        callback=callback,
        other_shape=other_shape,
        other_dtype=np.dtype(other.dtype),
        out_shape=problem.output_shape,
        out_dtype=np.dtype(problem.output),
        guards=_guards(fixed, problem),
        apart=_read(fixed, problem),
        terms=terms,
    )


def _refusal(decision: Decision, ending: Ending | None, executable: registry.Executable) -> str:
    """Return why calls of a plan take no C, empty if they do."""
    problem, product = decision.problem, executable.product
    if ending is None:
        return f"C can follow products that accumulate in float32 or float64, not in {problem.accumulator}"
    finishes = not problem.stack and registry.find(problem.op, decision.choice.candidate.kernel).epilogues
    native = product is not None and (finishes or product.dtypes[1] == problem.accumulator)
    if native or ending.declared or problem.output == problem.accumulator:
        return ""
    return (
        f"this plan rounds to {problem.output} before C could be added; "
        "make it with beta=, and it will round behind"
    )


def _guards(fixed: Any, problem: Problem) -> tuple[Any, ...]:
    """Return the arrays whose change makes the plan stale."""
    if isinstance(fixed, Factor):
        return fixed._arrays
    # Only plans that were asked for outlive the caller's next statement.
    contiguous = fixed.flags.c_contiguous or fixed.flags.f_contiguous
    return (fixed,) if problem.reuse is not None and contiguous else ()


def _read(fixed: Any, problem: Problem) -> tuple[Any, ...]:
    """Return the arrays that a call reads beside its operand: a result must not be written there."""
    return _guards(fixed, problem) if isinstance(fixed, Factor) or problem.reuse is not None else (fixed,)


def _has_offsets(spec: OperandSpec) -> bool:
    return spec.scaling is not None and spec.scaling.offsets


def _check_out(problem: Problem, out: Any, *operands: Any) -> None:
    """Check where a result is to be written, as plans with dense operands do in C++."""
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"{problem.op}: out must be a numpy.ndarray, got {type(out).__name__}")
    if out.shape != problem.output_shape:
        raise ShapeError(f"{problem.op}: out has shape {out.shape}, expected {problem.output_shape}")
    if out.dtype != problem.output:
        raise DTypeError(f"{problem.op}: out has dtype {out.dtype}, expected {problem.output}")
    if not out.flags.writeable:
        raise FormatError(f"{problem.op}: out is read-only")
    parts = [part for x in operands if isinstance(x, Factor) for part in x._arrays]
    if any(np.may_share_memory(out, part) for part in parts):
        raise FormatError(f"{problem.op}: out shares memory with an operand; pass a separate array")


def _with_isa(decision: Decision, isa: str) -> Decision:
    chosen = decision.choice.candidate._replace(isa=isa)
    candidates = tuple(chosen if c == decision.choice.candidate else c for c in decision.candidates)
    return decision._replace(candidates=candidates, choice=decision.choice._replace(candidate=chosen))
