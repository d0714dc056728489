"""The HTTP API that accepts mail and answers once Kafka holds it."""
