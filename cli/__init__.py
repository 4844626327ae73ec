"""The `paylake` command: it imports every room and is imported by none."""
