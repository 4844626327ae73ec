"""Measured speed: seconds and peak memory of a day, beside a plain DuckDB program.

`python -m benchmarks --help`. What is measured and what was found: docs/explanation/speed.md.
"""
