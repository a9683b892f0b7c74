"""``python -m gateway`` is the same as ``smm-gateway``."""

import sys

from gateway.cli import main

sys.exit(main())
