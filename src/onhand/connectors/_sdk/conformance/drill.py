"""A bench for a connector that has none: nothing is behind it, but what breaks on the way can be examined."""

from onhand.connectors._sdk.conformance.bench import Bench
from onhand.connectors._sdk.interface import Connector, Sender
from onhand.wire import Answer, NotReachable, Request


class _Nobody:
    async def send(self, request: Request) -> Answer:
        raise NotReachable(f"nobody is at {request.url.partition('?')[0]}")


class Drill(Bench):
    """Settings and secrets are made up as the connector asks for them."""

    def __init__(self, connector: Connector) -> None:
        made: dict[str, object] = {"url": "https://channel.test", "integer": 1, "boolean": True, "map": {}, "text": "1"}
        settings = {
            name: setting.default
            if setting.default is not None
            else (setting.choices[0] if setting.choices else made.get(setting.type, "1"))
            for name, setting in connector.settings.items()
        }
        credentials = {name: f"a-secret-{number}-that-is-made-up" for number, name in enumerate(connector.credentials)}
        super().__init__(settings, credentials)

    def sender(self) -> Sender:
        """To nobody."""
        return _Nobody()
