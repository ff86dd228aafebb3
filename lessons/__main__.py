"""``python -m lessons``."""

import sys

from .cli import main

sys.exit(main())
