"""``python -m gpt``: see ``cli.py``."""

from .cli import main

raise SystemExit(main())
