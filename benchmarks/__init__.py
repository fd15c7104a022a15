"""Speed and memory, each as a ratio to a named peer, measured in pairs in one run."""
