"""The vocabulary: what all parts of the gateway mean by words. No I/O, no clock, no chance."""
