"""The public operations, one file each: check, plan, run, wrap."""
