"""What keeps secrets secret, and strangers out."""
