"""`python -m stager`."""

import sys

from .cli import main

sys.exit(main())
