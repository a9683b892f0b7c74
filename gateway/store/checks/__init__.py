"""The invariants as queries, by what they are about."""
