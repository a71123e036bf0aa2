"""Adapters of the compiled kernels, one file for each format that they read."""
