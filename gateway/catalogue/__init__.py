"""What we sell: the catalogue that every process serves, and where it comes from."""
