# pyright: basic
"""Loops over arrays, compiled by Numba where it is installed: the machine code is kept beside the source."""

try:
    from numba import njit
except ImportError:  # pragma: no cover - the interpreted path is tested by its own process

    def njit(*_args, **_kwargs):
        return lambda function: function


# NumPy's errors: a division by zero that raised would cost every loop that holds one its optimisation (half the speed).
compiled = njit(cache=True, nogil=True, error_model="numpy")
