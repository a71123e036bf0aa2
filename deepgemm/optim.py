"""Steps of optimisers on embedding tables, in place and without a stored gradient."""

from .ops.optim import adagrad, rowwise_adagrad, sgd

__all__ = ["adagrad", "rowwise_adagrad", "sgd"]
