"""A fictional payment institution with known answers.

It drives the real ledger service over HTTP and writes the feeds that the switch, the terminal
registry and the custodian would send. Nothing but tests, benchmarks and the demo imports it.
"""
