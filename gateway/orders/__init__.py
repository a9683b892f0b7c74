"""Orders from acceptance to their end: intake, dispatch, tracking, and the rules between them."""
