"""HTTP: the panel API on the public listener, probes and metrics on the internal one."""
