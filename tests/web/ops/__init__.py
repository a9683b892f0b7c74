"""The console: its rules over real HTTP, and its pages in a real browser."""
