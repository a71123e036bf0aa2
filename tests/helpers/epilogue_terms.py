"""Terms that may follow a product, drawn for tests."""

from __future__ import annotations

from deepgemm import testing
from deepgemm.stated.epilogue import ACTIVATIONS


def terms(draw, shape, dtype="float32"):
    """Some terms for a result of that shape, drawn from all kinds."""
    m, n = shape

    def values(name, *shapes):
        return testing.random_values(name, draw.choice(shapes), dtype)

    drawn = {
        "alpha": draw.choice((None, 0.5, -1.75)),
        "scale": draw.choice((None, values("scale", (), (n,), (m, 1), (m, n)))),
        "bias": draw.choice((None, values("bias", (n,), (1, n), (m, 1), (m, n)))),
        "activation": draw.choice((None, *ACTIVATIONS)),
    }
    if draw.random() < 0.5:
        drawn["C"] = testing.LAYOUTS[draw.choice(list(testing.LAYOUTS))](values("C", (m, n)))
        drawn["beta"] = draw.choice((None, 0.25, -3.0))
    return {name: value for name, value in drawn.items() if value is not None} or {"alpha": 2.0}
