"""Settings of pytest that pyproject.toml cannot express."""
import os

from hypothesis import settings

# Machines in CI are slow now and then, and there a failure must come again when the run is repeated.
settings.register_profile('local', deadline=None)
settings.register_profile('ci', deadline=None, derandomize=True)
settings.load_profile('ci' if os.environ.get('CI') else 'local')
