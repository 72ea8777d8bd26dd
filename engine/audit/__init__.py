"""The statistics of an audit, as pure functions: plan it, draw it, watch it, weigh it, compare reviewers."""
