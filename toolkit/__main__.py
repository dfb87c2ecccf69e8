"""`python -m toolkit`: the command `telekit`."""

import sys

from toolkit.cli import main

sys.exit(main())
