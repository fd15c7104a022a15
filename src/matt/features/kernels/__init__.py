"""Values from samples: the transforms, one module each; librosa is the oracle of their tests."""
