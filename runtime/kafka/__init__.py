"""The only place that imports confluent_kafka; client types stop here."""
