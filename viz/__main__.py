"""``python -m viz``: see :mod:`viz.cli`."""

from .cli import main

raise SystemExit(main())
