"""Keys of lanes, limits of a carrier document, and what is left of limited days in memory."""

from datetime import timedelta

import numpy as np
from tests.network.test_compiled import NOW, by_distance, network, node

from onhand.base.dates import EPOCH
from onhand.network.compiled import LANE_DAYS, NO_LIMIT
from onhand.network.parcels import OF_NODE, lane_key, parcel_limits

DAYS = {"transit_days": {"p50": 1, "p95": 2}}
TODAY = (NOW.date() - EPOCH).days


def test_a_lane_is_known_by_its_places_alone() -> None:
    one = DAYS | {"from_nodes": ["B", "A"], "to_countries": ["FR"], "parcels_per_day": 3}
    same = {"to_countries": ["FR"], "from_nodes": ["A", "B", "A"], "transit_days": {"p50": 9, "p95": 9}}
    assert lane_key(one) == lane_key(same)
    others = [{}, {"to_countries": ["FR"]}, {"from_countries": ["FR"]}, {"from_nodes": ["A"], "to_countries": ["FR"]}]
    assert len({lane_key(lane) for lane in [one, *others]}) == 5
    assert lane_key({"to_countries": []}) == lane_key({}), "empty matches everything"


def test_the_limits_of_a_document_are_those_of_lanes_that_can_be_used() -> None:
    france, anywhere = DAYS | {"to_countries": ["FR"]}, DAYS
    services = [
        {"code": "a", "parcels_per_day": 0, "lanes": [france | {"parcels_per_day": 4}, anywhere]},
        {"code": "b", "lanes": [france, france | {"parcels_per_day": 9}]},  # the second is never met
    ]
    assert parcel_limits({"services": services}) == {("a", OF_NODE): 0, ("a", lane_key(france)): 4}


def test_days_of_a_lane_begin_empty_again_when_their_place_comes_round() -> None:
    lanes = [DAYS | {"parcels_per_day": 7}]
    net = network([node(1)], [by_distance("one", [1]) | {"lanes": lanes}])
    row = net.zone_transit[net.zone_row("FR", "", ""), 0, 1]
    assert (net.lane_of[0, row], net.lanes.shape) == (0, (1, LANE_DAYS))
    old = net.lanes
    at = TODAY & (LANE_DAYS - 1)
    net.take_parcels([(net.services[0].carrier, "one", lane_key(lanes[0]), 0, TODAY, 5)])
    assert net.lanes[0, at] == 2
    net.set_clock(NOW + timedelta(days=2))
    assert net.lanes[0, at] == 2, "a node may still be at that day"
    net.set_clock(NOW + timedelta(days=3))
    assert (net.lanes[0] == 7).all() and old[0, at] == 2, "copies keep their days"
    net.set_clock(NOW + timedelta(days=400))
    assert (net.lanes[0] == 7).all()


def test_parcels_that_are_promised_are_taken_from_node_or_lane_and_what_is_unknown_is_left_out() -> None:
    lanes = [DAYS | {"parcels_per_day": 7, "to_countries": ["FR"]}, DAYS]
    net = network([node(1), node(2)], [by_distance("one", [1]) | {"lanes": lanes, "parcels_per_day": 4}])
    carrier = net.services[0].carrier
    day = int(net.slot_day[1, 1])
    key = lane_key(lanes[0])
    net.take_parcels(
        [
            (carrier, "one", OF_NODE, 1, day, 9),  # promised before there was a limit
            (carrier, "one", key, 0, day, 2),
            (carrier, "two", OF_NODE, 1, day, 1),
            (carrier, "one", OF_NODE, 9, day, 1),
            (carrier, "one", OF_NODE, 2, day - 400, 1),
            (carrier, "one", lane_key(lanes[1]), 0, day, 1),
            (carrier, "one", "gone", 0, day, 1),
        ]
    )
    assert net.parcels[1, 0, :3].tolist() == [4, -5, 4] and (net.parcels[2] == 4).all()
    assert np.flatnonzero(net.lanes[0] != 7).tolist() == [day & (LANE_DAYS - 1)]
    one = np.ones(1, np.int32)
    net.give_back_parcels(one, one * 0, one * int(net.band_count[0]), one * day, one * 2)
    assert (net.parcels[1, 0, 1], net.lanes[0, day & (LANE_DAYS - 1)]) == (-3, 7)
    assert net.without_limits().parcels.size == net.without_parcel_limits().lanes.size == 0
    own = net.with_own_room()
    own.take_parcels([(carrier, "one", OF_NODE, 2, day, 1)])
    assert (net.parcels[2] == 4).all()
    net.take_room_of(own)
    assert net.parcels[2, 0, 1] == 3


def test_without_limits_nothing_is_kept_of_parcels() -> None:
    net = network([node(1)], [by_distance("one", [1]) | {"lanes": [DAYS]}])
    assert net.parcels.size == net.lanes.size == 0
    net.take_parcels([("c", "one", OF_NODE, 1, TODAY, 5)])
    only_lane = network([node(1)], [by_distance("one", [1]) | {"lanes": [DAYS | {"parcels_per_day": 1}]}])
    assert (only_lane.parcels == NO_LIMIT).all() and only_lane.parcels.size, "one sign of limits for the solver"
