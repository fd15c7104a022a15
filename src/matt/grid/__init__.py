"""Many runs from one file: what a grid is, the engine that runs it, and what comes out."""
