"""A standard panel in a process of its own: for the demo, and to misbehave on command in tests."""

from providers.sandbox.server import run_sandbox
from providers.sandbox.settings import SandboxAddress, SandboxSettings

__all__ = ["SandboxAddress", "SandboxSettings", "run_sandbox"]
