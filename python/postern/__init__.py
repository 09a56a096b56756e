"""What the author of a model in Python needs; the standard library alone.

A model is a class with ``setup()`` and ``predict(batch)``, or a plain function ``predict(batch)``; ``stream(item)`` instead
of ``predict`` puts its output out in parts. The worker runs it in a process of its own. docs/python.md is the guide.
"""

from ._context import canceled, progress
from ._errors import Canceled, InputError
from ._model import Model
from ._values import Blob, Text
from ._version import VERSION as __version__

__all__ = ["Blob", "Canceled", "InputError", "Model", "Text", "__version__", "canceled", "progress"]
