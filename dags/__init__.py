"""DAGs: when things run and in which order."""
