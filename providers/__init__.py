"""Upstreams: how the gateway speaks to the panels that deliver. Knows no database, no reseller."""
