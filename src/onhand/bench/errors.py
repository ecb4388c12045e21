"""The one error of this package."""

from onhand.errors import OnhandError


class BenchError(OnhandError):
    """The benchmark cannot go on, or its figures would not mean what they say."""

    code = "bench.failed"
