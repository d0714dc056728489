"""What is on the wire: Avro schemas, events, their codec, and the template catalogue."""
