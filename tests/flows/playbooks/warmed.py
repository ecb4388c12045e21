"""Read once by the process that workers are forked from: the solver compiled, so that none of them waits for it."""

from onhand.sourcing.policy import STANDARD
from onhand.sourcing.warm import warm_kernel

warm_kernel(STANDARD)
