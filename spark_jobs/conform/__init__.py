"""Bronze to silver: one module a table."""
