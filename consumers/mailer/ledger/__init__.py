"""What a worker keeps of its lanes on the local disk: a cache of the ledger, and the journal."""
