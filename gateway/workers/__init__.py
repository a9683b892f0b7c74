"""Background work: one kind of loop, and the loops that there are."""
