"""onhand"""
