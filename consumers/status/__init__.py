"""The status view: a database that tells of every mail what became of it, made from the topics."""
