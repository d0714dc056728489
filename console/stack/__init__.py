"""A whole mailcascade on one machine, for development, the demo and the tests."""
