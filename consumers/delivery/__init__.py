"""One mail out of one event: render, assemble, hand over to the relay, say what came of it."""
