"""``python -m image``: see ``cli.py``."""

from .cli import main

raise SystemExit(main())
