"""Storage, signing, files: what the service's ports stand for."""
