"""Alerts without Prometheus: the gateway itself tells operators of the trouble that matters."""
