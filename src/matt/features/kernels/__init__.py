"""Values from samples: the transforms, one module each. librosa designs their filters."""
