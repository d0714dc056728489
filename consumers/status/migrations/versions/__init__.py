"""One module for each change; its `down_revision` is the one before it."""
