"""Jagged nested tensors of PyTorch, the only place here that imports it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dtypes import bfloat16, float8_e4m3fn, float8_e5m2
from ...errors import DTypeError, FormatError, UnsupportedError

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

# Dtypes that NumPy and torch do not tell each other about, by torch's name: they travel as integers.
_BITS = {
    "bfloat16": (bfloat16, "int16"),
    "float8_e4m3fn": (float8_e4m3fn, "uint8"),
    "float8_e5m2": (float8_e5m2, "uint8"),
}


def parts_of(owner: str, tensor: Any, offsets: Any) -> tuple[Array, Array, Array | None]:
    """Return values, offsets and lengths (None without gaps) of a nested tensor, or of values and offsets."""
    torch = _torch(owner)
    if not isinstance(tensor, torch.Tensor):
        raise FormatError(f"{owner}: tensor is a {type(tensor).__name__}, expected a torch.Tensor")
    if not tensor.is_nested:
        if offsets is None:
            raise FormatError(f"{owner}: tensor is not nested, so offsets are needed")
        where = _array(owner, torch, offsets) if isinstance(offsets, torch.Tensor) else np.asarray(offsets)
        return _array(owner, torch, tensor), where, None
    if offsets is not None:
        raise FormatError(f"{owner}: tensor is nested, so it has offsets of its own")
    if tensor.layout != torch.jagged:
        raise FormatError(f"{owner}: tensor has layout {tensor.layout}, expected torch.jagged")
    values, lengths = tensor.values(), tensor.lengths()
    if isinstance(tensor.shape[1], int):  # the length of a ragged axis is a symbol
        raise UnsupportedError(f"{owner}: the ragged axis of tensor is not its second one")
    where = _array(owner, torch, tensor.offsets())
    rows = _array(owner, torch, values)
    return rows, where, None if lengths is None else _array(owner, torch, lengths)


def nested(values: Array, offsets: Array, lengths: Array | None) -> Any:
    """Return a jagged nested tensor over the given memory."""
    torch = _torch("Ragged.to_torch")
    parts = [_tensor(torch, part) for part in (values, offsets)]
    more = {} if lengths is None else {"lengths": _tensor(torch, lengths)}
    return torch.nested.nested_tensor_from_jagged(*parts, **more)


def _torch(owner: str) -> Any:
    try:
        return importlib.import_module("torch")  # untyped: checkers must not need it
    except ImportError:
        raise UnsupportedError(f"{owner} needs PyTorch, which is not installed") from None


def _array(owner: str, torch: Any, tensor: Any) -> Array:
    if tensor.device.type != "cpu":
        raise UnsupportedError(f"{owner}: tensor is on {tensor.device}, expected cpu; .cpu() copies it")
    tensor = tensor.detach()
    name = str(tensor.dtype).removeprefix("torch.")
    if name in _BITS:
        dtype, bits = _BITS[name]
        array: Array = tensor.view(getattr(torch, bits)).numpy().view(dtype)
        return array
    try:
        plain: Array = tensor.numpy()
    except TypeError:
        raise DTypeError(f"{owner}: tensor has dtype {tensor.dtype}, which NumPy lacks") from None
    return plain


class _Borrowed:
    """Memory of a read-only array, offered as writable: torch has no tensors that are not."""

    def __init__(self, array: Array) -> None:
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def _tensor(torch: Any, array: Array) -> Any:
    for name, (dtype, bits) in _BITS.items():
        if array.dtype == dtype:
            return _tensor(torch, array.view(bits)).view(getattr(torch, name))
    if not array.size:
        return torch.from_numpy(array.copy())  # nothing to share, and no address to borrow
    return torch.from_numpy(np.asarray(_Borrowed(array)))
