import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def quiet():
    """Failures are injected on purpose: what is logged of them is of no use here, and takes longer than they do."""
    with capture_logs():
        yield
