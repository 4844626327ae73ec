"""What the DAG files share: assets, default arguments, the operator that calls the command."""
