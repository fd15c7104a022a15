"""The paper again: its tables and figures beside ours, with controls, seeds and intervals."""
