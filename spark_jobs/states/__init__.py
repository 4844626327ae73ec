"""Mergeable daily states of entities: one module a table."""
