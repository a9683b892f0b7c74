"""The shipped nginx configuration in front of a gateway: a real nginx, with a certificate of ours."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.embedded.ports import free_port
from tests.architecture import ROOT
from tests.conftest import OpenGateway, eventually
from tests.world import World
