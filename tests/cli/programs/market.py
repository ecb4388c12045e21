"""A connector in Python: the generic one as somebody would write it, with a status of its own."""

from onhand.connectors import find


class Market:
    """All that the generic one does, by a class of its own."""

    name = "market"
    status = "beta"

    def __init__(self):
        self._inner = find("rest_generic").connector
        self.capabilities = self._inner.capabilities
        self.is_sent_messages = True

    def __getattr__(self, name):
        return getattr(self._inner, name)


class Boastful(Market):
    """Says more of itself than is earned."""

    status = "stable"


class Careless(Market):
    """Says of what may have happened that it did not."""

    async def push_stock(self, connection, writes):
        from dataclasses import replace

        from onhand.connectors._sdk.values import Fate

        outcomes = await self._inner.push_stock(connection, writes)
        return [replace(o, fate=Fate.DONE) if o.fate is Fate.UNKNOWN else o for o in outcomes]


class Nothing:
    """No connector."""
