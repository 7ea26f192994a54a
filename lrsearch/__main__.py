"""`python -m lrsearch` is the command `lrsearch`."""

from lrsearch.cli import main

if __name__ == "__main__":
    main()
