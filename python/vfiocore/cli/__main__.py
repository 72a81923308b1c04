# SPDX-License-Identifier: MIT
"""``python -m vfiocore.cli``: the ``vfio`` command."""

import sys

from . import main

sys.exit(main())
