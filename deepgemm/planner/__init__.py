"""The planner: what is known of a product, what each kernel would cost, and which one is chosen."""
