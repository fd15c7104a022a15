"""Audio features: what they are, how they are computed, where they are kept."""
