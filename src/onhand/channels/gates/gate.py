# pyright: basic
"""How many units to hide from each channel: the least number that keeps the risk of an oversell below its price.

What is shown on channel c when all but g of the units are sold is oversold if the others sell more than g before the
channel can know: g is the least number with

    P(D > g) <= tau * P(F <= g)

    D    units that other channels sell while c does not know of it (`window_h[d, c]`, cut at the next supply), each at
         most what it was shown (`limit`); c's own too where its writes overwrite sales that we have not heard of
    F    units that faster channels (those with less exposure) sell until the next supply: with a probability of
         P(F > g) the unit that is hidden here is sold there, and hiding it costs nothing; 0 where no supply is known,
         then only the risk counts
    tau  price of risk: the oversells that we accept per sale gained. Learned (`controller.py`), or margin / penalty

Demand over a window is a mixture: how much of the window lies in a burst, given the probability that there is one now
and that one starts meanwhile; given that, negative binomial per channel (Poisson with a Gamma rate), and their sum an
exact convolution. More exposure, more velocity, a later supply and a smaller tau never show more.
"""

from math import ceil, exp, log1p, sqrt
from typing import NamedTuple

import numpy as np

from onhand.base.compiled import bare, compiled
from onhand.channels.gates.demand import Bursts, Float64, Int32, Velocity, burst_at, usual_rate

# Shares of a window that may lie in a burst: none, all, and the middles of four quarters.
OVERLAPS = 6
# Terms of a distribution that are looked at: first few, which nearly always do. Gates of more units than _MANY are
# found in lots of 4, 16, ... units, up to a fifth above the quantile; smaller ones are exact.
_FEW, _MANY = 8, 256
# 1 / k: divisions are what the recurrences would wait for.
_INVERSE = 1.0 / np.maximum(np.arange(_MANY + 2), 1)
# Supply later than this is as good as unknown.
_NEVER_H = 1e6
# Rows of scratch memory for one decision.
ROOM = (7, _MANY + 1)


class Rule(NamedTuple):
    """What decides, of the channels of a shop.

    window_h    float64[channel d, channel c]: hours in which a sale on d is unseen by c (`exposure.py`); 0: never
    tau         float64[channel]: price of risk
    floor, cap  int32[channel]: units hidden at least and at most
    units       int32[channel]: units of a fixed gate; -1: the gate is computed
    percent     float64[channel]: of what there is, added to `units`
    rival       float64[channel d, channel c], 0 to 1: how much of d's demand counts in F of c
    kept        int32[item, channel] or [0, channel]: units of an item hidden at least, as protection for others
    holds       whether gates are held (`held`)
    """

    window_h: Float64
    tau: Float64
    floor: Int32
    cap: Int32
    units: Int32
    percent: Float64
    rival: Float64
    kept: Int32
    holds: bool


class Told(NamedTuple):
    """What channels have been told, of all items: `nothing_told` makes it, `decide` keeps it.

    gate     int32[item, channel]: the gate in force, -1: none yet
    waits    int32[item, channel]: times in a row that a smaller one would have done
    most     int32[item, channel, 2]: most units shown since `since_h` and in the window before it
    since_h  float64[item, channel]
    """

    gate: Int32
    waits: Int32
    most: Int32
    since_h: Float64


def nothing_told(items: int, channels: int) -> Told:
    return Told(
        gate=np.full((items, channels), -1, dtype=np.int32),
        waits=np.zeros((items, channels), dtype=np.int32),
        most=np.zeros((items, channels, 2), dtype=np.int32),
        since_h=np.full((items, channels), -np.inf),
    )


@bare
def overlap_weights(burst, hours, bursts, shares, weights):
    """Fill in how much of the next `hours` lies in a burst (shares of them), and how likely that is.

    One change at most: a burst that starts lasts, one that ends stays away. Weights sum to 1.
    """
    stays_usual = exp(-bursts.starts_per_h * hours)
    x = hours / bursts.mean_h
    weights[0] = (1.0 - burst) * stays_usual
    shares[0] = 0.0
    shares[OVERLAPS - 1] = 1.0
    weights[OVERLAPS - 1] = burst * exp(-x)
    for quarter in range(4):
        shares[quarter + 1] = (quarter + 0.5) / 4.0
        weights[quarter + 1] = (1.0 - burst) * (1.0 - stays_usual) * 0.25 + burst * (
            exp(-x * quarter / 4.0) - exp(-x * (quarter + 1) / 4.0)
        )


@bare
def fill_demand(pmf, terms, mean, shape, limit):
    """pmf[k] = P(D = k) for k < terms of a negative binomial that is cut at `limit`: what is beyond is at it."""
    top = min(limit, terms)
    p = exp(-shape * log1p(mean / shape))
    step = mean / (shape + mean)
    rest = 1.0
    for k in range(top):
        pmf[k] = p
        rest -= p
        p *= (shape + k) * step * _INVERSE[k + 1]
    if limit < terms:
        pmf[limit] = max(0.0, rest)
        pmf[limit + 1 : terms] = 0.0


@bare
def convolve(one, other, terms, out):
    """out[n] = P(sum = n) for n < terms of two independent numbers."""
    out[:terms] = 0.0
    for k in range(terms):
        p = other[k]
        if p > 0.0:
            # In this order the inner loop is done four at a time.
            for n in range(terms - k):
                out[n + k] += p * one[n]


@bare
def fill_unseen(velocity, item, channel, burst, window_h, sure_h, limit, lot, terms, bursts, room, cdf):
    """cdf[k] = P(D <= k) for k < terms: what others sell in their windows towards `channel`, in lots of `lot` units."""
    shares, weights = room[0], room[1]
    channels = window_h.shape[0]
    longest = 0.0
    for d in range(channels):
        if limit[d] > 0:
            longest = max(longest, window_h[d, channel])
    overlap_weights(burst, min(longest, sure_h), bursts, shares, weights)
    cdf[:terms] = 0.0
    for n in range(OVERLAPS):
        if weights[n] <= 0.0:
            continue
        factor = 1.0 + (bursts.multiplier - 1.0) * shares[n]
        # Which of three rows holds the sum so far, and which are free.
        pmf, spare, one = room[2], room[3], room[6]
        several = False
        for d in range(channels):
            hours = min(window_h[d, channel], sure_h)
            if hours > 0.0 and limit[d] > 0:
                shape = velocity.prior_units[item, d] + velocity.units[item, d]
                usual = shape / (velocity.prior_h[item, d] + velocity.watched_h[item, d])
                most = (limit[d] + lot - 1) // lot
                fill_demand(one if several else pmf, terms, usual * hours * factor / lot, shape, most)
                if several:
                    convolve(pmf, one, terms, spare)
                    pmf, spare = spare, pmf
                several = True
        if not several:
            cdf[:terms] = 1.0
            return
        total = 0.0
        for k in range(terms):
            total += pmf[k]
            cdf[k] += weights[n] * total


@bare
def fill_sold_anyway(velocity, item, channel, burst, rival, supply_h, lot, terms, bursts, cdf):
    """cdf[k] = P(F <= k) for k < terms: what faster channels sell until the next supply, in lots of `lot` units.

    Bursts to come are counted (none, one, two or more), each of the mean length; the one that may be on has its mean
    length still before it.
    """
    usual = 0.0
    spread = 0.0
    for d in range(rival.shape[0]):
        if rival[d, channel] > 0.0:
            shape = velocity.prior_units[item, d] + velocity.units[item, d]
            rate = rival[d, channel] * shape / (velocity.prior_h[item, d] + velocity.watched_h[item, d])
            usual += rate
            spread += rate * rate / shape
    if usual <= 0.0 or supply_h <= 0.0 or supply_h > _NEVER_H:
        cdf[:terms] = 1.0
        return
    cdf[:terms] = 0.0
    shape = usual * usual / spread
    expected = bursts.starts_per_h * supply_h
    for coming in range(3):
        if coming == 0:
            likely = exp(-expected)
        elif coming == 1:
            likely = expected * exp(-expected)
        else:
            likely = 1.0 - (1.0 + expected) * exp(-expected)
        for current in range(2):
            weight = likely * (burst if current else 1.0 - burst)
            if weight <= 0.0:
                continue
            lasts = coming * min(bursts.mean_h, 0.5 * supply_h) + current * min(bursts.mean_h, supply_h)
            mean = usual * (supply_h + (bursts.multiplier - 1.0) * min(lasts, supply_h)) / lot
            # The length of a burst is random: with one, demand varies as an exponential does, at least.
            size = shape if coming + current == 0 else min(shape, 1.5 * (coming + current))
            p = exp(-size * log1p(mean / size))
            step = mean / (size + mean)
            total = 0.0
            for k in range(terms):
                total += p
                cdf[k] += weight * min(1.0, total)
                p *= (size + k) * step * _INVERSE[k + 1]


@bare
def enough_terms(velocity, item, channel, window_h, sure_h, limit, bursts):
    """A number of terms to begin with: what is sold in a burst of the whole window, with something to spare."""
    mean = 0.0
    for d in range(window_h.shape[0]):
        hours = min(window_h[d, channel], sure_h)
        if hours > 0.0 and limit[d] > 0:
            mean += min(float(limit[d]), usual_rate(velocity, item, d) * hours * bursts.multiplier)
    return int(min(_MANY, max(_FEW, mean + 2.0 * sqrt(mean))))


@bare
def computed_gate(velocity, item, channel, burst, rule, supply_h, sure_h, stock, limit, bursts, room):
    """Units to hide from `channel`, at most `stock`: least g with P(D > g) <= tau * P(F <= g)."""
    tau = rule.tau[channel]
    lot = 1
    terms = enough_terms(velocity, item, channel, rule.window_h, sure_h, limit, bursts)
    while True:
        fill_unseen(velocity, item, channel, burst, rule.window_h, sure_h, limit, lot, terms, bursts, room, room[4])
        fill_sold_anyway(velocity, item, channel, burst, rule.rival, supply_h, lot, terms, bursts, room[5])
        for k in range(terms):
            if k * lot >= stock:
                return stock
            if 1.0 - room[4, k] <= tau * room[5, k]:
                # k lots or fewer: all but the last unit of the next lot are hidden.
                return min(stock, (k + 1) * lot - 1)
        if terms < _MANY:
            terms = min(_MANY, 2 * terms)
        else:
            lot *= 4


@bare
def wanted_gate(velocity, item, channel, burst, rule, supply_h, sure_h, stock, limit, bursts, room):
    """Units to hide by the mode of the channel, within floor and cap, 0 to `stock`."""
    if stock <= 0:
        return 0
    if rule.units[channel] >= 0:
        gate = rule.units[channel] + ceil(rule.percent[channel] * stock / 100.0 - 1e-9)
    else:
        gate = computed_gate(velocity, item, channel, burst, rule, supply_h, sure_h, stock, limit, bursts, room)
    gate = max(rule.floor[channel], min(rule.cap[channel], gate))
    if rule.kept.shape[0] > 0:
        gate = max(gate, rule.kept[item, channel])
    return max(0, min(stock, gate))


@bare
def held(gate, before, waits, stock):
    """(gate, waits) with hysteresis: hide more at once; less only by a unit and a tenth of what is shown, twice.

    before  the gate in force, -1: none yet; waits: times in a row that less would have done
    """
    if before < 0 or gate >= before:
        return gate, 0
    shown = max(0, stock - before)
    if before - gate < max(1.0, 0.1 * shown):
        return min(before, stock), 0
    if waits < 1:
        return min(before, stock), waits + 1
    return gate, 0


@bare
def remember(told, item, channel, shown, now_h, memory_h):
    """Note what is shown; what was shown more than `memory_h` ago is forgotten, at the latest twice as late."""
    age_h = now_h - told.since_h[item, channel]
    if age_h > memory_h:
        told.most[item, channel, 1] = told.most[item, channel, 0] if age_h <= 2.0 * memory_h else shown
        told.most[item, channel, 0] = shown
        told.since_h[item, channel] = now_h
    told.most[item, channel, 0] = max(told.most[item, channel, 0], shown)


@bare
def decide_item(velocity, told, item, burst, stock, supply_h, sure_h, rule, bursts, now_h, room, limit, shown):
    """Gates of one item into `told.gate`, and what is shown into `shown` (int32[channel])."""
    for channel in range(rule.tau.size):
        # Nothing said so far: it may sell all there is.
        fresh = told.gate[item, channel] < 0
        seen = stock if fresh else max(told.most[item, channel, 0], told.most[item, channel, 1])
        limit[channel] = max(0, seen)
    for channel in range(rule.tau.size):
        gate = wanted_gate(velocity, item, channel, burst, rule, supply_h, sure_h, stock, limit, bursts, room)
        before = told.gate[item, channel] if rule.holds else -1
        kept, waits = held(gate, before, told.waits[item, channel], stock)
        told.gate[item, channel] = kept
        told.waits[item, channel] = waits
        shown[channel] = max(0, stock - kept)
    for channel in range(rule.tau.size):
        # A sale on it is unseen by the slowest of the others for so long, and by us no longer.
        memory_h = 0.0
        for other in range(rule.tau.size):
            memory_h = max(memory_h, rule.window_h[channel, other])
        remember(told, item, channel, shown[channel], now_h, memory_h)


@compiled
def decide(
    velocity: Velocity,
    told: Told,
    items: Int32,
    stock: Int32,
    supply_h: Float64,
    sure_h: Float64,
    rule: Rule,
    bursts: Bursts,
    now_h: float,
) -> tuple[Int32, Int32]:
    """(shown, gate) int32[n, channel] of `items`, for what there is of each; keeps what was told in `told`.

    items     int32[n]
    stock     int32[n]: units that there are, gates left out: available over the channel's nodes less safety stock
    supply_h  float64[n]: hours until the next supply is due, inf: none known
    sure_h    float64[n]: hours until it has come as good as surely, late as supply is
    now_h     not before any sale that `velocity` has heard of
    """
    channels = rule.tau.size
    shown = np.empty((items.size, channels), dtype=np.int32)
    gate = np.empty((items.size, channels), dtype=np.int32)
    room = np.empty(ROOM)
    limit = np.empty(channels, dtype=np.int32)
    for n in range(items.size):
        item = items[n]
        burst = burst_at(velocity, item, now_h, bursts)
        decide_item(
            velocity, told, item, burst, stock[n], supply_h[n], sure_h[n], rule, bursts, now_h, room, limit, shown[n]
        )
        gate[n] = told.gate[item]
    return shown, gate


@compiled
def unseen_distribution(
    velocity: Velocity,
    item: int,
    channel: int,
    rule: Rule,
    sure_h: float,
    limit: Int32,
    bursts: Bursts,
    now_h: float,
    terms: int,
) -> Float64:
    """float64[terms]: P(D <= k), the distribution that the gate of `channel` is taken from; terms <= 256.

    limit  int32[channel]: most units that each channel can sell unseen
    """
    room = np.empty(ROOM)
    burst = burst_at(velocity, item, now_h, bursts)
    fill_unseen(velocity, item, channel, burst, rule.window_h, sure_h, limit, 1, terms, bursts, room, room[4])
    return room[4, :terms].copy()
