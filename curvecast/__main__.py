"""``python -m curvecast``: the command line where its script is not on the path, or belongs to another Python."""

from __future__ import annotations

from curvecast.cli import main

if __name__ == "__main__":
    main()
