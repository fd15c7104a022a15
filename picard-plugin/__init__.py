"""Picard 3: genres by ear, from the program matt. See docs/library/picard.md."""

from __future__ import annotations

from dataclasses import asdict

from picard.plugin3.api import BaseAction

from .asking import Settings
from .page import MattPage
from .running import Runner

_runner: Runner | None = None


class SuggestGenres(BaseAction):
    """Listen to what is selected."""

    TITLE = "matt: suggest genres"

    def callback(self, objs):
        """Ask for the files of albums, clusters, tracks, or files themselves."""
        if _runner is not None:
            _runner.ask([file for each in objs for file in each.iterfiles()])


class StopListening(BaseAction):
    """End what is at work."""

    TITLE = "matt: stop"

    def callback(self, objs):
        """Stop, whatever is selected."""
        if _runner is not None:
            _runner.stop()


def enable(api):
    """Picard enables the plugin."""
    global _runner
    for name, value in asdict(Settings()).items():
        api.plugin_config.register_option(name, value)
    _runner = Runner(api)
    api.tagger.register_cleanup(_runner.close)
    for action in (SuggestGenres, StopListening):
        api.register_album_action(action)
        api.register_cluster_action(action)
        api.register_clusterlist_action(action)
        api.register_track_action(action)
        api.register_file_action(action)
    api.register_tools_menu_action(StopListening)
    api.register_options_page(MattPage)


def disable():
    """Picard disables the plugin: nothing of it goes on."""
    global _runner
    if _runner is not None:
        _runner.close()
    _runner = None
