"""Albums looked at and decided in a browser, and what is learned from that."""
