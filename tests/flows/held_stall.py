"""A stall (onhand.twin.fakes.stall) as a process of its own, which can be made to hold requests in the middle.

`python held_stall.py` prints its port. It keeps a journal of all writes, with the key and the sender of each.
"""

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.responses import JSONResponse
from starlette.routing import Route

from onhand.twin.fakes.stall import Stall


def sender(port):
    """The process that has a connection from this local port; None: it is dead."""
    inodes = {
        f"socket:[{row.split()[9]}]"
        for row in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if int(row.split()[1].rpartition(":")[2], 16) == port
    }
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(str(file.readlink()) in inodes for file in folder.iterdir()):
                return int(folder.parent.name)
    return None


class HeldStall(Stall):
    """`hold`: where the next requests wait until they are let go: "before" they take effect, or "after"."""

    def __init__(self):
        super().__init__()
        self.hold = None
        self.held = 0
        self.let_go = asyncio.Event()
        self.journal = []

    def app(self):
        faults = super().app()
        faults._control.routes.extend(
            [
                Route("/_fake/hold", self._hold, methods=["POST"]),
                Route("/_fake/let-go", self._let_go, methods=["POST"]),
                Route("/_fake/journal", self._journal),
            ]
        )
        return faults

    async def _write(self, request):
        body = json.loads(await request.body())
        known = body["key"] in self.done
        pid = await asyncio.to_thread(sender, request.client.port)
        self.journal.append(
            {"key": body["key"], "items": body["items"], "pid": pid, "is_repeat": known, "no": len(self.journal)}
        )
        hold = self.hold
        if hold == "before":
            await self._wait()
        answer = await super()._write(request)
        if hold == "after":
            await self._wait()
        return answer

    async def _wait(self):
        self.held += 1
        await self.let_go.wait()
        self.held -= 1

    async def _hold(self, request):
        self.hold = (await request.json())["where"]
        self.let_go = asyncio.Event()
        return JSONResponse({})

    async def _let_go(self, _):
        self.hold = None
        self.let_go.set()
        return JSONResponse({})

    async def _journal(self, request):
        since = int(request.query_params.get("since", "0"))
        return JSONResponse({"shown": self.shown, "journal": self.journal[since:], "held": self.held})


if __name__ == "__main__":
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    print(bound.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(HeldStall().app(), log_level="error", lifespan="off")).run([bound])
