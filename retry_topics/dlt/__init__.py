"""The dead-letter topic for operators: which mails died of what, and how they are replayed."""
