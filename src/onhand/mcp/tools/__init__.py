"""Our own tools, by what they are about. Each is a few calls of the interface."""

from typing import Final

from onhand.mcp.model import Tool
from onhand.mcp.tools import incidents, orders, planning, policies, stock

OURS: Final[tuple[Tool, ...]] = (*stock.TOOLS, *orders.TOOLS, *policies.TOOLS, *planning.TOOLS, *incidents.TOOLS)
