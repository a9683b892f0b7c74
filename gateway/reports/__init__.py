"""Reports: what was sold, by day or month and by service, provider or reseller."""
