"""A real HTTP server on this machine with the faults that real ones have."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves bytes by name, and does what its switches say.

    cuts : list of int
        Bytes after which the next connections are cut, one entry a connection.
    ranges : bool
        Whether ranges are honoured.
    sizes : bool
        Whether lengths are told.
    status : list of int
        Answers of the next requests, instead of the file.
    """

    def __init__(self, files):
        self.files = dict(files)
        self.cuts, self.status = [], []
        self.ranges = self.sizes = self.tags = True
        self.requests = []  # (path, Range header)
        self.sent = 0

    def tag(self, content):
        return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server.state
        asked = self.headers.get("Range")
        server.requests.append((self.path, asked))
        if server.status:
            self._end(server.status.pop(0))
            return
        content = server.files.get(self.path.lstrip("/"))
        if content is None:
            self._end(404)
            return
        tag, total, start = server.tag(content), len(content), 0
        fresh = self.headers.get("If-Range") in (None, tag)
        if asked and server.ranges and fresh:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= total:
                self._end(416, {"Content-Range": f"bytes */{total}"})
                return
        self.send_response(206 if start else 200)
        if server.tags:
            self.send_header("ETag", tag)
        if server.sizes:
            self.send_header("Content-Length", str(total - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Connection", "close")
        self.end_headers()
        body = content[start:]
        if server.cuts:
            body = body[: server.cuts.pop(0)]
        self.wfile.write(body)
        server.sent += len(body)
        self.close_connection = True

    def _end(self, status, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextmanager
def serving(files):
    """Yield the state and the address of a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.state = Server(files)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.state, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
