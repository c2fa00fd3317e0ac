"""Every check the verifier makes, declared once: what must hold, by which clause, how severe."""
