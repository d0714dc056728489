"""A mail server that keeps what it gets, refuses on request, and shows its catch in a browser."""
