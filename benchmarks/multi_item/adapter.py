"""Who decides the orders. The only module to change when another engine is to be measured."""

import numpy as np
import numpy.typing as npt

from multi_item import engine
from multi_item.instances import Instance

POLICIES = ("myopic", "forward")


def decide(
    instance: Instance, policy: str, forecast: npt.NDArray[np.float64], seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Serve the sequence of an instance, order by order, each without knowing those that follow.

    forecast  float64[pair], the share of each (order type, city) that the policy expects

    Returns the cost float64[order] and the centre of each line of the sequence int32[line], the number of centres
    where a line is left unserved.
    """
    served = (
        engine.myopic(instance) if policy == "myopic" else engine.forward(instance, engine.Forward(), forecast, seed)
    )
    return served.cost, served.node
