"""What fails or is about to: detectors, and incidents grouped by cause.

Owns the values in model.py, the detectors in detect/ and the grouping in group.py, all pure: arrays and values in,
values out; the moment and the seed are arguments. Promises: nothing that lies after that moment is looked at, each
finding says in numbers and in a sentence what it rests on, and an incident that opened does not flicker. Start reading
at model.py, then detect/lanes.py and detect/phantoms.py, then group.py.
"""
