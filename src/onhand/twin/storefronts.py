"""The channels of the simulated world that are vendors' and not ours: which connector, which shoppers, which weather.

Pure. Each is a fake in a process of its own (fakes/). Our own web shop and our own app go on calling our interface.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from onhand.twin.fakes.amazon import PLANS
from onhand.twin.fakes.weather import Sky
from onhand.twin.world import CURRENCY, SITES, Json, Shop, World

TARGET: Final = 0.001
"""Oversold orders per order that are accepted on a channel."""

_HOOK_SECRET: Final = "hook"  # noqa: S105  of the fakes, which are on this machine
# More than a shop is asked for elsewhere: a day of this world is 24 minutes long.
_QUICK: Final = {"rate_per_s": 40, "burst": 40, "at_once": 4}
# What our own channels keep of all orders when others sell too.
_OWN: Final = {"web": 0.28, "app": 0.09}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A channel at a vendor. sky: what it is like to talk to, in real seconds.

    settings  of its connector, with `{url}` where the fake's address goes
    tells     it sends messages
    lists     it sells what is listed there; False: it passes files
    """

    shop: Shop
    sky: Sky
    connector: str
    settings: Mapping[str, Any]
    credentials: Mapping[str, str] = field(default_factory=dict[str, str])
    tells: bool = False
    lists: bool = True

    @property
    def code(self) -> str:
        """Of the channel, and of its fake."""
        return self.shop.code

    def channel(self, url: str, *, speed: float) -> Json:
        """The document of the channel whose fake is at `url`; `speed`: how much faster its usage plans are."""
        settings: Json = {k: v.format(url=url) if isinstance(v, str) else v for k, v in self.settings.items()}
        if self.connector == "amazon":
            settings["overrides"] = {"plans": _faster(speed), "limits": {"rate_per_s": 5 * speed, "burst": 50}}
        credentials = {"credentials": dict(self.credentials)} if self.credentials else {}
        return {**self.shop.document, "connector": self.connector, "settings": settings, **credentials}  # fmt: skip


def _faster(speed: float) -> Json:
    return {name: {"rate_per_s": round(rate * speed, 4), "burst": burst} for name, (rate, burst) in PLANS.items()}


def _nodes(*types: str) -> list[str]:
    return [site.code for site in SITES if site.node_type in types]


def _shop(code: str, name: str, nodes: list[str], *, margin: float, **habits: Any) -> Shop:
    document = {
        "name": name, "nodes": nodes, "currency": CURRENCY, "priority": 5, "margin_rate": margin,
        "gate": {"mode": "adaptive", "alpha": 0.001, "lag_s": 2.0},
    }  # fmt: skip
    return Shop(code=code, document=document, **habits)


FRONTS: Final = (
    Front(
        shop=_shop(
            "shopify", "Boutique (Shopify)", _nodes("warehouse", "store"), margin=0.40, share=0.23,
            lines=(0.6, 0.25, 0.1, 0.05), night_owl=0.4,
        ),
        connector="shopify",
        settings={"url": "{url}", "place": "gid://shopify/Location/1", "overrides": {"limits": _QUICK}},
        credentials={"access_token": "shpat_fake", "webhook_secret": _HOOK_SECRET},
        tells=True,
        sky=Sky(
            delay_s=(0.06, 0.25), down_every_s=150, down_for_s=6, message_delay_s=(0.4, 2.0), repeated=0.02,
            reordered=0.05, lost=0.005,
        ),
    ),
    Front(
        shop=_shop(
            "woocommerce", "Outlet (WooCommerce)", _nodes("warehouse", "third_party"), margin=0.30, share=0.15,
            lines=(0.7, 0.2, 0.1), night_owl=0.4,
        ),
        connector="woocommerce",
        settings={"url": "{url}", "overrides": {"limits": _QUICK}},
        credentials={"consumer_key": "ck_fake", "consumer_secret": "cs_fake", "webhook_secret": _HOOK_SECRET},
        tells=True,
        # A small host, and a job queue that runs when it runs.
        sky=Sky(
            delay_s=(0.12, 0.6), limit_per_s=25, down_every_s=90, down_for_s=8, message_delay_s=(1.0, 5.0),
            repeated=0.04, reordered=0.05, lost=0.01,
        ),
    ),
    Front(
        shop=_shop(
            "amazon", "Marketplace (Amazon)", _nodes("warehouse", "third_party"), margin=0.24, share=0.15,
            lines=(0.86, 0.12, 0.02), night_owl=0.6,
        ),
        connector="amazon",
        settings={
            "url": "{url}", "token_url": "{url}/auth/o2/token", "seller_id": "A3TH9S8BH6GOGM",
            "marketplace_id": "ATVPDKIKX0DER", "queue_url": "{url}/123456789012/notifications", "queue_wait_s": 1,
            # What many listings are to show changes at once where their gates do: by 25 a second that would take long.
            "feed_from": 100,
        },
        credentials={
            "client_id": "amzn1.application-oa2-client.fake", "client_secret": "client-secret",
            "refresh_token": "Atzr|fake", "aws_access_key_id": "AKIAFAKE", "aws_secret_access_key": "aws-secret",
        },
        sky=Sky(delay_s=(0.08, 0.3), apply_s=4.0),
    ),
)  # fmt: skip


HUB: Final = "BARCELONA-3PL"
"""The node that somebody else runs: it is told by files what to ship, and tells by files what it did."""

TILLS: Final = Front(
    # Every tenth shopper goes to a store and takes what lies there.
    shop=_shop("tills", "Tills of all stores", _nodes("store"), margin=0.45, share=0.1, night_owl=0.0),
    connector="csv_feed",
    settings={"url": "file:///tills", "sales_folder": "sales", "settle_s": 0},
    sky=Sky(),
    lists=False,
)

THIRD: Final = Front(
    shop=_shop("hub", "Partner hub Barcelona (X12)", [HUB], margin=0.0, share=0.0),
    connector="edi_x12",
    settings={
        "url": "file:///hub", "partner": "warehouse", "our_id": "ONHAND", "their_id": "HUB", "node": HUB,
        "place": "BCN", "settle_s": 0, "usage": "production",
    },
    sky=Sky(down_every_s=240, down_for_s=15),
    lists=False,
)  # fmt: skip

ALL: Final = (*FRONTS, TILLS, THIRD)


def own(world: World) -> World:
    """The world with our own shops only, as busy as they are beside `FRONTS`."""
    shops = tuple(replace(shop, share=_OWN[shop.code]) for shop in world.shops if shop.code in _OWN)
    return replace(world, shops=shops)
