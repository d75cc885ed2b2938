"""Configuration of Sphinx; "make docs" builds the pages into docs/_build/html."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'src'), str(ROOT / 'tests' / 'engines')]

import microdot  # noqa: E402  (found through the lines above)

project = 'Microdot'
author = 'The Microdot developers'
copyright = '2026, The Microdot developers'
release = version = microdot.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx_copybutton']
exclude_patterns = ['_build', 'snippet_files']

myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
nitpicky = False

html_theme = 'furo'
html_title = f'Microdot {release}'
# Copy the commands of a console block without their prompts.
copybutton_prompt_text = r'\$ |>>> |\.\.\. '
copybutton_prompt_is_regexp = True
