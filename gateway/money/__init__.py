"""Money: the ledger, and the audit that proves it."""
