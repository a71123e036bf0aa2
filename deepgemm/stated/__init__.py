"""The operations in the order in which they are stated to round, one idea in each file."""
