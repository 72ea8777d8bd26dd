"""Numbered schema files, applied once each, in order; append-only."""
