"""Serving a review on loopback until somebody ends it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .server import Review, review_app

if TYPE_CHECKING:
    import uvicorn

REMEDY = 'pip install "matt-mgc[review]"'
_HOST = "127.0.0.1"
_LAST = 2  # seconds for answers that are on their way when it ends


def check_review() -> None:
    """Refuse to begin without what serves.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    for name in ("starlette", "uvicorn"):
        try:
            import_module(name)
        except ImportError as error:
            raise ConfigError(f"a review needs {name}, which is not installed: {REMEDY}") from error


def bound(port: int) -> socket.socket:
    """Take a port of loopback, a free one for 0.

    Raises
    ------
    ConfigError
        If it is taken, or not for everybody.
    """
    taken = socket.socket(proto=socket.IPPROTO_TCP)  # so that answers are not held back
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((_HOST, port))
        taken.listen()  # else a second one could take it, too, until the first one serves
    except OSError as error:
        taken.close()
        raise ConfigError(
            f"--port {port} cannot be used ({error.strerror}); leave it out for a free one"
        ) from error
    return taken


def serve(review: Review, listening: socket.socket, ready: Callable[[str, str], None]) -> None:
    """Answer until Ctrl-C, or the system, ends it.

    Parameters
    ----------
    review, listening, ready
        As in `server_of`.
    """
    try:
        server_of(review, listening, ready).run([listening])
    except KeyboardInterrupt:  # that is how it ends
        pass
    finally:
        listening.close()


def server_of(
    review: Review, listening: socket.socket, ready: Callable[[str, str], None]
) -> uvicorn.Server:
    """Make a server that runs when it is told to, and ends when its ``should_exit`` is set.

    Parameters
    ----------
    review : Review
    listening : socket
        Of `bound`.
    ready : callable
        Is told the address that opens the review, and one that does so once, as soon as they are
        answered.
    """
    import uvicorn

    app = review_app(review, listening.getsockname()[1])

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(app.url, app.url_once())

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_LAST,
    )
    return _Server(config)
