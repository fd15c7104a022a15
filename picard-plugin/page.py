"""The page of options."""

from __future__ import annotations

from picard.plugin3.api import OptionsPage
from PyQt6.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QSpinBox

from .asking import MODES, MOST_PERCENT, Settings

_MODES = {
    "fill-empty": "only where there is no genre yet",
    "append": "beside the genres that are there",
    "replace": "instead of the genres that are there",
}


class MattPage(OptionsPage):
    """Where matt is, and what is done with what it says."""

    TITLE = "matt: genres by ear"

    def __init__(self, parent=None):
        super().__init__(parent)
        self.command = QLineEdit()
        self.model = QLineEdit()
        self.model.setPlaceholderText("the tagger that comes with matt")
        self.mode = QComboBox()
        for mode in MODES:
            self.mode.addItem(_MODES[mode], mode)
        self.percent = QSpinBox()
        self.percent.setRange(0, MOST_PERCENT)
        self.percent.setSuffix(" %")
        self.percent.setSpecialValueText("as the model says")
        form = QFormLayout(self)
        form.addRow("Program, by name or path:", self.command)
        form.addRow("Model, folder or file:", self.model)
        form.addRow("Suggest genres", self.mode)
        form.addRow("How sure it must be:", self.percent)
        form.addRow(
            QLabel("Install it with: pip install matt-mgc. Nothing is written before you save.")
        )

    def load(self):
        """Show what is stored."""
        stored = self.api.plugin_config
        settings = Settings.of(
            {name: stored[name] for name in ("command", "model", "mode", "percent")}
        )
        self.command.setText(settings.command)
        self.model.setText(settings.model)
        self.mode.setCurrentIndex(self.mode.findData(settings.mode))
        self.percent.setValue(settings.percent)

    def save(self):
        """Store what is shown."""
        stored = self.api.plugin_config
        stored["command"] = self.command.text().strip() or Settings.command
        stored["model"] = self.model.text().strip()
        stored["mode"] = self.mode.currentData()
        stored["percent"] = self.percent.value()
