"""Items and bundles: what is stocked and sold.

Owns the tables `item` and `bundle_component`. Promises: a sku never changes its id, ids are dense, a bundle holds no
stock and its components are plain items. Start reading at model.py, then decide.py (what a batch of rows does);
catalogue.py is the same in memory, for promising.
"""
