"""A thread may give way by itself."""

import os
import sys
import threading

import pytest

from onhand.base.giving_way import give_way


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_only_the_thread_that_calls_gives_way():
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found = []

    def work():
        give_way()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [max(before, 10)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
