"""Scenarios: a merchant's weeks that go wrong, lived through twice with the same chance, with and without responses.

Pure: no server, no database, no clock. The orders are decided by the real solver, incidents are found by the real
detectors, which see what a merchant sees, and answered by the choices of `incidents/respond`. Start reading at
document.py (what a scenario says), then world.py (what happens), responding.py (who acts) and compare.py.
"""
