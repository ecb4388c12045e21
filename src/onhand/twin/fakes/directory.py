"""Which fakes there are, by name."""

from collections.abc import Callable
from pathlib import Path

from onhand.twin.fakes import amazon, medusa, shopify, square, stripe, vendure, woocommerce
from onhand.twin.fakes.files import Hub, Tills
from onhand.twin.fakes.market import Market
from onhand.twin.fakes.stands import Amazon, Other, Shopify, Square, Stand, Stripe, WooCommerce

# Simulated seconds that a third party usually takes.
_SHIP_S = 15 * 60.0
_FASTER_MAX = 10.0


def stand(name: str, *, seed: int = 1, speed: float = 1.0, files: Path | None = None) -> Stand:
    """The fake of that name, empty. Raises LookupError, which names them all; ValueError without a folder it needs.

    speed  how many times faster than in earnest a third party ships, and limits of Amazon and Shopify are
    files  folder of those who pass files
    """

    def folder() -> Path:
        if files is None:
            raise ValueError(f"{name} passes files: say in which folder (--files)")
        return files

    makers: dict[str, Callable[[], Stand]] = {
        "amazon": lambda: Amazon(amazon.Account(speed=speed, lag_s=0.0, feed_lag_s=0.0), seed=seed),
        "hub": lambda: Hub(folder(), seed=seed, ship_s=_SHIP_S / speed),
        "market": lambda: Other(Market(), seed=seed, name=name),
        "medusa": lambda: Other(medusa.Shop(), seed=seed, name=name),
        "shopify": lambda: Shopify(shopify.Shop(restore_per_s=100 * min(speed, _FASTER_MAX)), seed=seed),
        "square": lambda: Square(square.Shop(), seed=seed),
        "stripe": lambda: Stripe(stripe.Account(), seed=seed),
        "tills": lambda: Tills(folder(), seed=seed),
        "vendure": lambda: Other(vendure.Shop(), seed=seed, name=name),
        "woocommerce": lambda: WooCommerce(woocommerce.Shop(), seed=seed),
    }
    if name not in makers:
        raise LookupError(f"no fake is called {name!r}: there are {', '.join(makers)}")
    return makers[name]()
