"""What a sweep came to: store, tables, comparison."""
