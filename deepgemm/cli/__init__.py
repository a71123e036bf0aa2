"""The `deepgemm` and `deepgemm-bench` commands."""
