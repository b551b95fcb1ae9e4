"""The tab in TensorBoard: its routes. What answers them is loaded when the first one is asked for."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from curvecast_tensorboard.refusal import Refusal

if TYPE_CHECKING:
    from curvecast_tensorboard.desk import Desk

log = logging.getLogger("tensorboard")
_KEPT = 1_000  # scalars a tag that TensorBoard keeps unless it is told otherwise
_MOST_BYTES = 1_000_000
_POSTED = ("runs", "compare", "family")
_A_DAY = 86_400
VIEWS = ("about", "runs", "tags", "curve", "hindsight", "narrowing", "whatif", "compare", "family")

App = Callable[..., Any]


class CurvecastPlugin(base_plugin.TBPlugin):  # type: ignore[misc]  # TensorBoard has no types
    """Serves the tab; every route is described in ``http_api.md``.

    Args:
        context: what TensorBoard gives its plugins.
    """

    plugin_name = "curvecast"

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._provider = context.data_provider
        hints: Mapping[str, int | None] = context.sampling_hints or {}
        kept = hints.get("scalars")
        self._limit = _KEPT if kept is None else kept
        self._desk: Desk | None = None
        self._first = threading.Lock()

    def get_plugin_apps(self) -> dict[str, App]:
        """The routes."""
        views = {f"/{name}": _application(partial(self._view_route, name)) for name in VIEWS}
        files = {path: _application(file_route) for path in ("/index.js", "/static/*")}
        return views | files | {"/plotly.min.js": _application(plotly_route)}

    def is_active(self) -> bool:
        """No: that there are scalars, which TensorBoard itself finds out, is what makes the tab active."""
        return False

    def data_plugin_names(self) -> tuple[str, ...]:
        """Whose data is read."""
        return ("scalars",)

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """The tab's name and its module; it updates by itself."""
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Curvecast", disable_reload=False)

    @property
    def desk(self) -> Desk:
        """What the views ask; made, with all that it imports, at the first request."""
        with self._first:
            if self._desk is None:
                from curvecast_tensorboard.desk import Desk

                self._desk = Desk(self._provider, self._limit)
        return self._desk

    def _view_route(self, name: str, request: wrappers.Request) -> wrappers.Response:
        return _answered(request, lambda: self._viewed(name, request))

    def _viewed(self, name: str, request: wrappers.Request) -> dict[str, Any]:
        from curvecast_tensorboard.query import Query
        from curvecast_tensorboard.views import IMPLEMENTED

        allowed = ("GET", "POST") if name in _POSTED else ("GET",)
        if request.method not in (*allowed, "HEAD"):
            raise Refusal(405, f"the method must be {' or '.join(allowed)}", request.method, f"Send a {allowed[0]}.")
        body = b""
        if request.method == "POST":
            if (request.content_length or 0) > _MOST_BYTES:
                raise Refusal(413, f"a body must have at most {_MOST_BYTES:,} bytes", f"{request.content_length:,}", "")
            body = request.stream.read(_MOST_BYTES)
        query = Query.of(dict(request.args.lists()), body)
        ctx, experiment = plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)
        desk = self.desk
        return IMPLEMENTED[name](desk, desk.look(ctx, experiment), query)


def file_route(request: wrappers.Request) -> wrappers.Response:
    """A file of the page."""
    from curvecast_tensorboard.files import page_file

    try:
        _, found, name = request.path.rpartition("/static/")
        content, kind = page_file(name if found else "index.js")
    except Refusal as refusal:
        return _respond(request, {"error": refusal.words}, refusal.status)
    return _sent(request, content, kind)


def plotly_route(request: wrappers.Request) -> wrappers.Response:
    """Plotly's JavaScript."""
    from curvecast_tensorboard.files import plotly_js

    content, tag = plotly_js()
    if request.headers.get("If-None-Match") == tag:
        return wrappers.Response(status=304, headers={"ETag": tag})
    return _sent(request, content, "text/javascript", expires=_A_DAY, content_encoding="gzip", headers=[("ETag", tag)])


def _answered(request: wrappers.Request, view: Callable[[], dict[str, Any]]) -> wrappers.Response:
    """What a view says, as JSON; what it refuses, and what fails in it, likewise."""
    try:
        return _respond(request, view(), 200)
    except Refusal as refusal:
        return _respond(request, {"error": refusal.words}, refusal.status)
    except Exception as error:
        log.exception("curvecast could not answer %s", request.path)
        told = {
            "what": "curvecast could not answer; TensorBoard's own output tells where",
            "got": repr(error)[:500],
            "do": "Reload. If it comes again, please report it with that output.",
        }
        return _respond(request, {"error": told}, 500)


def _respond(request: wrappers.Request, content: dict[str, Any], status: int) -> wrappers.Response:
    # In ASCII: a name may hold half a surrogate pair, which no UTF-8 can.
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return _sent(request, text, "application/json", code=status)


def _sent(request: wrappers.Request, content: str | bytes, kind: str, **options: Any) -> wrappers.Response:
    response: wrappers.Response = http_util.Respond(request, content, kind, **options)
    return response


def _application(route: Callable[[wrappers.Request], wrappers.Response]) -> App:
    """A route as TensorBoard's server calls it."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        return route(wrappers.Request(environ))(environ, start_response)

    return application
