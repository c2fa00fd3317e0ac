"""The means to judge a build's evidence: anchors, expectations, the ledger of signatures, the registry of keys."""
