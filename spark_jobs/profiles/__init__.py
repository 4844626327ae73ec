"""Profiles over 1, 7 and 30 days, from stored states: one module a table."""
