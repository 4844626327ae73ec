"""`python -m cli`, which `bin/paylake` runs."""

from cli.app import run

if __name__ == "__main__":
    run()
