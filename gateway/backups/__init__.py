"""Backups of the whole database server, restores, and the ways out of the embedded engines."""
