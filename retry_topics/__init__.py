"""Where a record goes next and when: topology, headers, failures, policy, ladder, routing."""
