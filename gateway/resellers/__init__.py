"""Resellers: accounts, and the keys that open them."""
