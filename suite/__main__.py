"""``python -m suite`` runs the same program as the ``mobileinst-suite`` console script."""

import sys

from suite.cli import console

if __name__ == "__main__":
    sys.exit(console())
