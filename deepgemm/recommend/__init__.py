"""Small models built from the products: implicit ALS, top-k retrieval, and how good they are."""

from .als import ImplicitALS
from .metrics import ndcg_at, recall_at
from .retrieval import similar_items, top_items
from .split import hold_out

__all__ = ["ImplicitALS", "hold_out", "ndcg_at", "recall_at", "similar_items", "top_items"]
