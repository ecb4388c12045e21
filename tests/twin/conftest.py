"""The running API of the tests in tests/api."""

from ..api.conftest import app, server  # noqa: F401, TID252
