# SPDX-License-Identifier: MIT
"""Sphinx: `pip install .[docs] && sphinx-build -W docs docs/_build`.

The Python interface is read from its docstrings.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "python"))

project = "libvfiocore"
author = "the libvfiocore authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
