"""One run of matt after the other, each a child process; its answer reaches tags bit by bit."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from dataclasses import dataclass

from PyQt6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer

from .asking import (
    MOST_BYTES,
    Answer,
    NoAnswer,
    Settings,
    chosen,
    environment,
    listed,
    tells_progress,
    told,
    unstartable,
)

_PATIENCE = 5_000  # milliseconds until a child that was asked to end is ended
_LINE = 2_000  # characters of a line of matt that are shown
_SLICE = 50  # files that are changed between two events: tens of milliseconds
_LOOK = 200  # milliseconds until files that Picard is at are looked at again


@dataclass(frozen=True)
class Run:
    """Files of Picard with their names when they were asked for, and the settings of that time."""

    files: tuple[tuple[object, str], ...]
    settings: Settings


class Runner(QObject):
    """Asks matt, and puts what it says into the tags that Picard shows.

    Everything happens in Picard's main thread, between two events. Nothing here waits but `close`;
    an answer is read in one go, and then given to files by and by.

    Parameters
    ----------
    api : PluginApi
    """

    def __init__(self, api):
        super().__init__()
        self._api = api
        self._waiting: deque[Run] = deque()
        self._run: Run | None = None
        self._process: QProcess | None = None
        self._said, self._too_long = bytearray(), False
        self._last = ""
        self._stopped = False
        self._answer: Answer | None = None
        self._left: deque[tuple[object, str]] = deque()  # files that the answer is still to reach
        self._done: Counter[str] = Counter()
        self._soon = QTimer(self, singleShot=True)
        self._soon.timeout.connect(self._suggest)

    @property
    def busy(self) -> bool:
        """Whether matt is at work, or its answer is not with all files yet."""
        return self._run is not None

    def ask(self, files) -> None:
        """Ask for the genres of files of Picard, after what was asked before."""
        files = tuple({id(file): (file, file.filename) for file in files}.values())
        if not files:
            self._tell("there are no files to listen to")
            return
        stored = self._api.plugin_config
        settings = Settings.of(
            {name: stored[name] for name in ("command", "model", "mode", "percent")}
        )
        self._waiting.append(Run(files, settings))
        if self.busy:
            self._tell(f"{len(self._waiting):,} more to do after this one")
        else:
            self._next()

    def stop(self) -> None:
        """End what is at work, and forget what waits."""
        self._waiting.clear()
        process = self._process
        if self._run is None:
            self._tell("nothing is at work")
            return
        if process is None:
            self._over(f"stopped; genres were suggested for {self._done['changed']:,} files before")
            return
        self._stopped = True
        process.terminate()
        if sys.platform == "win32":  # where a program without a window does not hear it
            process.kill()
        patience = QTimer(process, singleShot=True)  # gone with the process
        patience.timeout.connect(process.kill)
        patience.start(_PATIENCE)

    def close(self) -> None:
        """End what is at work, and wait until it has ended: Picard quits, or the plugin goes."""
        self._waiting.clear()
        self._soon.stop()
        process, self._process, self._run = self._process, None, None
        if process is None:
            return
        process.blockSignals(True)
        process.terminate()
        if sys.platform == "win32" or not process.waitForFinished(_PATIENCE):
            process.kill()
            process.waitForFinished(_PATIENCE)
        process.deleteLater()

    # ---- one run ----

    def _next(self) -> None:
        if not self._waiting:
            return
        self._run = run = self._waiting.popleft()
        self._said, self._too_long = bytearray(), False
        self._last, self._stopped = "", False
        self._process = process = QProcess(self)
        env = QProcessEnvironment()
        for name, value in environment(os.environ, frozen=hasattr(sys, "frozen")).items():
            env.insert(name, value)
        env.insert("PYTHONIOENCODING", "utf-8:surrogateescape")
        process.setProcessEnvironment(env)
        process.readyReadStandardOutput.connect(self._hear)
        process.readyReadStandardError.connect(self._follow)
        process.errorOccurred.connect(self._failed)
        process.finished.connect(self._finished)
        self._tell(f"listening to {len(run.files):,} files ...")
        process.start(os.path.expanduser(run.settings.command), run.settings.arguments())
        process.write(listed(name for _, name in run.files))
        process.closeWriteChannel()

    def _hear(self) -> None:
        self._said += bytes(self._process.readAllStandardOutput())
        if len(self._said) > MOST_BYTES:
            self._said.clear()
            self._too_long = True
            self._process.kill()

    def _follow(self) -> None:
        lines = bytes(self._process.readAllStandardError()).decode("utf-8", "replace").splitlines()
        for line in filter(str.strip, lines):
            self._last = line.strip()[:_LINE]
            self._api.logger.info("%s", self._last)
            if tells_progress(self._last):
                self._show(self._last)

    def _failed(self, error) -> None:
        # Whatever else goes wrong is followed by `finished`.
        if error == QProcess.ProcessError.FailedToStart:
            why = self._process.errorString()
            self._over(unstartable(self._run.settings.command, why), failed=True)

    def _finished(self, code, status) -> None:
        self._hear()
        self._follow()
        if self._stopped:
            self._over("stopped; no tag was changed by this run")
            return
        if self._too_long:
            self._over(
                f"its answer is longer than {MOST_BYTES // 2**20} MiB; ask for fewer files at once",
                failed=True,
            )
            return
        if status != QProcess.ExitStatus.NormalExit:
            self._over(
                f"it was ended by the system; {self._last or 'it said nothing'}", failed=True
            )
            return
        try:
            answer = Answer.read(bytes(self._said))
        except NoAnswer as error:
            said = str(error) if self._said.strip() else self._last or "it said nothing"
            self._over(f"it ended with code {code}: {said}", failed=True)
            return
        for path, reason in answer.failed.items():
            self._api.logger.warning("%s: %s", path, reason)
        self._process.deleteLater()
        self._process, self._said = None, bytearray()
        self._answer, self._left, self._done = answer, deque(self._run.files), Counter()
        self._suggest()

    def _suggest(self) -> None:
        """Put genres into the tags that Picard shows, of some files now and of the others soon.

        A file that Picard is at, say saving it, has its turn when Picard is done: what is changed
        meanwhile would be shown as saved, and be in no file.
        """
        held, n = [], min(_SLICE, len(self._left))
        for _ in range(n):
            file, name = self._left.popleft()
            state = getattr(file.state, "name", "")
            if state == "PENDING":
                held.append((file, name))
            elif state != "REMOVED":  # from Picard, while matt was listening
                self._done[self._give(file, name)] += 1
        self._left.extend(held)
        if not self._left:
            self._over(told(self._done, self._answer, len(self._run.files)))
            return
        if len(held) == n:
            self._show("waiting for files that Picard is saving or looking up")
        self._soon.start(_LOOK if len(held) == n else 0)

    def _give(self, file, name: str) -> str:
        """Give a file what there is for it; tells whether it is changed, or was not answered."""
        given = self._answer.of(name)
        if given is None:
            return "unanswered"
        values = chosen(file.metadata.getall("genre"), given, self._run.settings.mode)
        if values is None:
            return "left"
        file.metadata["genre"] = values
        file.update()
        return "changed"

    def _over(self, text: str, *, failed: bool = False) -> None:
        process, self._process, self._run = self._process, None, None
        if process is not None:
            process.deleteLater()
        self._soon.stop()
        self._answer = None
        self._left.clear()
        if failed:
            self._api.logger.error("%s", text)
        self._tell(text)
        self._next()

    # ---- what is said ----

    def _tell(self, text: str) -> None:
        window = self._api.tagger.window
        window.set_statusbar_message("%s", f"matt: {text}", echo=None, translate=None)

    def _show(self, text: str) -> None:
        """Say what will soon be out of date: it does not go into Picard's history."""
        window = self._api.tagger.window
        window.set_statusbar_message("%s", f"matt: {text}", echo=None, translate=None, history=None)
