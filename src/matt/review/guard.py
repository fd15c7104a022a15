"""What stands before the server: only this browser, from this address, and never too much.

A page somewhere else can make a browser ask a server on the same machine. So each request has to
name this host (a name that was made to point here is refused), carry the cookie that only the
printed address gives, and, where it changes anything, come from a page of this server. Answers tell
the browser to run and load nothing but ours.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BODY = 2**16  # bytes of a form
_MOST_PATH = 2**13
_USUAL = 80
_SAFE = "GET", "HEAD"
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; media-src 'self'; "
    "style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # without any, a form would not say where it comes from
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every answer."""
_OPEN = "Open the address that matt review printed when it started"


class Guard:
    """An application that lets another one answer only whom it should.

    Parameters
    ----------
    app : ASGI application
    port : int
        Where the server listens on loopback.
    token : str, optional
        What the printed address tells; by default a new one.
    """

    def __init__(self, app: Any, port: int, token: str | None = None) -> None:
        self.app, self.port = app, port
        self.token = token or secrets.token_urlsafe(32)
        names = "127.0.0.1", "localhost"
        # A browser leaves out the port that is usual.
        self.hosts = {f"{name}:{port}" for name in names} | {*names * (port == _USUAL)}
        self._once = ""
        # Cookies go by the host alone, so that two servers at once need two names.
        self._cookie = f"matt-review-{port}"

    @property
    def url(self) -> str:
        """The address that opens it."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def url_once(self) -> str:
        """An address that opens it once: arguments of programs are seen by all users."""
        self._once = secrets.token_urlsafe(32)
        return f"http://127.0.0.1:{self.port}/?token={self._once}"

    @property
    def form_token(self) -> str:
        """What every form has to carry; the cookie cannot be told from it."""
        return hmac.new(self.token.encode(), b"form", "sha256").hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if host not in self.hosts:
            return await _refuse(send, 403, "This server is no other than 127.0.0.1.")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MOST_PATH:
            return await _refuse(send, 414, "The address is too long.")
        if scope["method"] not in (*_SAFE, "POST"):
            return await _refuse(send, 405, "Nothing here is done so.")
        if scope["path"] == "/" and scope["method"] == "GET" and self._invited(scope):
            return await self._let_in(send)
        if not self._known(headers.get(b"cookie", "")):
            return await _refuse(send, 403, f"{_OPEN}: it lets this browser in.")
        if scope["method"] == "POST":
            # A browser names the page that a form or a script is of; who names none is no browser.
            if origin != f"http://{host}":
                return await _refuse(send, 403, "That came from another page.")
            if _size(headers.get(b"content-length", "")) > MOST_BODY:
                return await _refuse(send, 413, "That is too much.")
        await self.app(scope, receive, _with_headers(send))

    def fits(self, form_token: str) -> bool:
        """Whether a form is one of ours."""
        return _same(form_token, self.form_token)

    def _invited(self, scope: Scope) -> bool:
        query = scope["query_string"].decode("latin-1")
        try:
            given = parse_qs(query, max_num_fields=20).get("token", [""])
        except ValueError:
            return False
        if self._once and _same(given[0], self._once):
            self._once = ""
            return True
        return _same(given[0], self.token)

    def _known(self, cookies: str) -> bool:
        pairs = (part.strip().partition("=") for part in cookies.split(";"))
        return any(name == self._cookie and _same(value, self.token) for name, _, value in pairs)

    async def _let_in(self, send: Send) -> None:
        """Give the cookie, and the address without the token: it is in no history then."""
        cookie = f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(errors="replace"), right.encode())


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else MOST_BODY + 1


def _with_headers(send: Send) -> Send:
    """Add our headers to what is answered."""

    async def sends(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [
                *message["headers"],
                *(pair for pair in more if pair[0] not in own),
            ]
        await send(message)

    return sends


async def _refuse(send: Send, status: int, why: str) -> None:
    await _answer(send, status, f"{why}\n", {})


async def _answer(send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    told = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    told |= {"cache-control": "no-store", **headers}
    pairs = [(name.encode(), value.encode()) for name, value in told.items()]
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
