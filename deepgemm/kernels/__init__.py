"""Adapters from the planner's words to each provider of kernels; `ops/_kernels.py` loads them."""
