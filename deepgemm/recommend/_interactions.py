"""Interactions of users and items in the one format that models and metrics read."""

from __future__ import annotations

from typing import Any

from ..sparse.csr import CSR

__all__ = ["as_csr"]


def as_csr(interactions: Any) -> CSR:
    """Return a users × items matrix of any form as a `CSR`: itself where it is one."""
    return interactions if isinstance(interactions, CSR) else CSR(interactions)
