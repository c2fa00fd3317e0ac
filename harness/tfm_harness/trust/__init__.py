"""What a build's evidence is judged against: anchors, expectations, the ledger of signatures, the registry of keys."""
