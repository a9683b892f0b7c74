"""Clients that are known from the wild, replayed: what each sends, and what it reads in answers."""
