"""How a process talks to its environment: settings, clock, logs, metrics, lifecycle, Kafka."""
