# pyright: basic
"""What gates would have oversold and lost: demand replayed against channels that hear and tell late. Compiled.

One item after the other, event by event: an order is placed on a channel and taken if the channel shows a unit; it is
heard of after the channel's hearing lag; then, every `tick_h`, and at each supply, the gates are decided by the code
that decides them in service (`gate.py`) and changed numbers are written, to take effect after the channel's lag. A
channel counts its own sales down; a write says what was known when it was made, and either leaves the sales that it
did not know of counted (`overwrites` false) or overwrites them.

An order that is taken when nothing is left is an oversell, and is charged to its own channel, that of the later
buyer; it waits, and is served first from the next supply. Supply fills up to the item's base stock, by what is known
of then.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.base.compiled import compiled
from onhand.channels.gates.demand import Bursts, Float64, Int32, Int64, Velocity, advance, burst_at, sold
from onhand.channels.gates.gate import ROOM, Rule, Told, decide_item

_RING = 512


class Shop(NamedTuple):
    """What happens, whatever the gates.

    first          int64[item + 1]: where an item's orders begin
    at_h, channel  float64, int32[order]: when and where each unit is asked for, by item and time
    due_first      int64[item + 1]; due_h, comes_h  float64[supply]: when supply is due, and when it comes
    late_h         hours by which supply may be late
    base           int32[item]: units after each supply, and at the start
    end_h          when it ends
    """

    first: Int64
    at_h: Float64
    channel: Int32
    due_first: Int64
    due_h: Float64
    comes_h: Float64
    late_h: float
    base: Int32
    end_h: float


class Lags(NamedTuple):
    """hear_h, tell_h float64[channel], mean hours; each write takes tell_h times 1 - jitter to 1 + jitter, in order.
    overwrites  bool[channel]: a write overwrites sales that it did not know of
    """

    hear_h: Float64
    tell_h: Float64
    jitter: float
    overwrites: npt.NDArray[np.bool_]


class Outcome(NamedTuple):
    """int64[channel] each: orders asked, lost (not taken), oversold; writes sent."""

    asked: Int64
    lost: Int64
    oversold: Int64
    writes: Int64


@compiled
def replay_perfect(shop: Shop, channels: int) -> Int64:
    """int64[channel]: orders lost when every channel knows every sale at once."""
    lost = np.zeros(channels, dtype=np.int64)
    for item in range(shop.base.size):
        stock = shop.base[item]
        supply = shop.due_first[item]
        for n in range(shop.first[item], shop.first[item + 1]):
            while supply < shop.due_first[item + 1] and shop.comes_h[supply] <= shop.at_h[n]:
                stock = shop.base[item]
                supply += 1
            if stock > 0:
                stock -= 1
            else:
                lost[shop.channel[n]] += 1
    return lost


@compiled
def replay(
    shop: Shop, lags: Lags, velocity: Velocity, rule: Rule, bursts: Bursts, tick_h: float, learns: bool, seed: int
) -> Outcome:
    """Outcome of gates by `rule` in `shop`; changes `velocity`.

    tick_h  hours after which gates are decided again if nothing happens
    learns  whether gates follow what is sold, or keep to `velocity` as it is given
    """
    np.random.seed(seed)
    items = shop.base.size
    channels = rule.tau.size
    asked = np.zeros(channels, dtype=np.int64)
    lost = np.zeros(channels, dtype=np.int64)
    oversold = np.zeros(channels, dtype=np.int64)
    writes = np.zeros(channels, dtype=np.int64)
    told = Told(
        np.full((items, channels), -1, dtype=np.int32),
        np.zeros((items, channels), dtype=np.int32),
        np.zeros((items, channels, 2), dtype=np.int32),
        np.full((items, channels), -np.inf),
    )
    room = np.empty(ROOM)
    limit = np.empty(channels, dtype=np.int32)
    shown = np.empty(channels, dtype=np.int32)
    # Sales on their way to us, writes on their way to the channels: rings by channel.
    heard_at = np.empty((channels, _RING))
    write_at = np.empty((channels, _RING))
    write_shown = np.empty((channels, _RING), dtype=np.int32)
    write_known = np.empty((channels, _RING), dtype=np.int64)
    heard_first = np.zeros(channels, dtype=np.int64)
    heard_end = np.zeros(channels, dtype=np.int64)
    write_first = np.zeros(channels, dtype=np.int64)
    write_end = np.zeros(channels, dtype=np.int64)
    last_write = np.zeros(channels)
    display = np.zeros(channels, dtype=np.int32)
    target = np.zeros(channels, dtype=np.int32)
    taken = np.zeros(channels, dtype=np.int64)
    known = np.zeros(channels, dtype=np.int64)
    for item in range(items):
        heard_first[:] = 0
        heard_end[:] = 0
        write_first[:] = 0
        write_end[:] = 0
        last_write[:] = 0.0
        taken[:] = 0
        known[:] = 0
        stock = shop.base[item]
        believed = stock
        display[:] = -1
        target[:] = -1
        order, orders_end = shop.first[item], shop.first[item + 1]
        supply, supply_end = shop.due_first[item], shop.due_first[item + 1]
        tick = 0.0
        now = 0.0
        while True:
            # The next thing that happens: 0 tick, 1 supply, 2 order, 3 heard, 4 write takes effect.
            what, which, now = 0, 0, tick
            if supply < supply_end and shop.comes_h[supply] < now:
                what, now = 1, shop.comes_h[supply]
            for c in range(channels):
                if heard_first[c] < heard_end[c] and heard_at[c, heard_first[c] % _RING] < now:
                    what, which, now = 3, c, heard_at[c, heard_first[c] % _RING]
                if write_first[c] < write_end[c] and write_at[c, write_first[c] % _RING] < now:
                    what, which, now = 4, c, write_at[c, write_first[c] % _RING]
            if order < orders_end and shop.at_h[order] < now:
                what, now = 2, shop.at_h[order]
            if now >= shop.end_h:
                break
            if what == 2:
                c = shop.channel[order]
                order += 1
                asked[c] += 1
                if display[c] <= 0:
                    lost[c] += 1
                    continue
                display[c] -= 1
                taken[c] += 1
                assert heard_end[c] - heard_first[c] < _RING
                heard_at[c, heard_end[c] % _RING] = now + lags.hear_h[c]
                heard_end[c] += 1
                if stock <= 0:
                    oversold[c] += 1
                stock -= 1
                continue
            if what == 4:
                slot = write_first[which] % _RING
                write_first[which] += 1
                display[which] = write_shown[which, slot]
                if not lags.overwrites[which]:
                    display[which] -= taken[which] - write_known[which, slot]
                continue
            if what == 3:
                heard_first[which] += 1
                known[which] += 1
                believed -= 1
                if learns:
                    sold(velocity, item, which, 1, now, bursts)
            elif what == 1:
                supply += 1
                stock += shop.base[item] - believed
                believed = shop.base[item]
            else:
                tick = now + tick_h
            # Decide anew, and write what changed.
            burst = burst_at(velocity, item, now, bursts) if learns else velocity.burst[item]
            supply_h = sure_h = np.inf
            if supply < supply_end:
                # What is late may come any moment.
                sure_h = max(shop.due_h[supply] + shop.late_h - now, 0.0)
                supply_h = max(shop.due_h[supply] - now, 0.5 * sure_h)
            decide_item(velocity, told, item, burst, believed, supply_h, sure_h, rule, bursts, now, room, limit, shown)
            for c in range(channels):
                first = target[c] < 0
                if first or shown[c] != target[c]:
                    target[c] = shown[c]
                    writes[c] += 1
                    if first:
                        display[c] = shown[c]
                    else:
                        lag = lags.tell_h[c] * (1.0 + lags.jitter * (2.0 * np.random.random() - 1.0))
                        last_write[c] = max(last_write[c], now + lag)
                        if write_end[c] - write_first[c] >= _RING:
                            write_end[c] -= 1
                        slot = write_end[c] % _RING
                        write_at[c, slot] = last_write[c]
                        write_shown[c, slot] = shown[c]
                        write_known[c, slot] = known[c]
                        write_end[c] += 1
        if learns:
            advance(velocity, item, shop.end_h, bursts)
    return Outcome(asked, lost, oversold, writes)
