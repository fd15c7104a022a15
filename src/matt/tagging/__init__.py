"""Genres in files: what is planned, written so that nothing is lost, and undone."""
