"""One view per concept, in files applied in name order; replaced as a whole when any file changes."""
