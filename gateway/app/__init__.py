"""The composition root: the only place that builds the shared objects and wires them together.

A process plays one role or both: ``front`` answers resellers, ``background`` does what is due.
"""

from gateway.app.process import Gateway

__all__ = ["Gateway"]
