"""How long deliveries take: quantiles of days and the chance of being late, learned from those that came.

Pure: arrays in, values out; what is later than the origin is not in what comes in. A model of the middle and of the
spread (`trees.py` with the extra `forecast`, else `lanes.py`) is put right by what came of late (`calibrate.py`),
shipments that are still on their way counted in. Start reading at learn.py.
"""
