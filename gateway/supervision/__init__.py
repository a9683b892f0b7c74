"""Several worker processes under one supervisor, which holds what outlives each of them."""
