"""Calibration: how sure predictions are, which prior they assume, and when to give no genre."""
