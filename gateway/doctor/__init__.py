"""The doctor: looks at a deployment before it goes live, and says what to put right."""
