"""The consumer group that sends the mails."""
