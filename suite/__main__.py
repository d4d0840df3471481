"""``python -m suite``: the same door as the ``mobileinst-suite`` console script."""

import sys

from suite.cli import main

if __name__ == "__main__":
    sys.exit(main())
