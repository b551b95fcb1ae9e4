"""The files of the page: its own, and plotly's JavaScript out of the installed wheel."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files

from curvecast_tensorboard.refusal import Refusal

_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "html": "text/html",
    "svg": "image/svg+xml",
    "json": "application/json",
}


def page_file(name: str) -> tuple[bytes, str]:
    """A file of the package's ``static`` folder and its type.

    Args:
        name: its plain name; what leads out of the folder is no such name.

    Raises:
        Refusal: if there is none.
    """
    folder = files("curvecast_tensorboard") / "static"
    known = {entry.name for entry in folder.iterdir() if entry.is_file()}
    kind = _TYPES.get(name.rpartition(".")[2])
    if name not in known or kind is None or name.startswith("."):
        raise Refusal(404, "the file must be one of the page's", repr(name[:100]), "Reload the page.")
    return (folder / name).read_bytes(), kind


@lru_cache(maxsize=1)
def plotly_js() -> tuple[bytes, str]:
    """Plotly's JavaScript, gzipped, and its ETag."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs().encode()
    return gzip.compress(script, compresslevel=6, mtime=0), f'"{hashlib.sha256(script).hexdigest()[:20]}"'
