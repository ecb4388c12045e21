"""What a plan costs, one file a term: pure functions over candidates, with the formula in the docstring.

A term adds money to the arrays of `tables.Costs` (how it is charged: each fulfilment, line, unit, parcel or gram) for a
range of candidates; `pricing.price` adds all of them up, `pricing.itemise` tells them apart for the fulfilment that was
chosen. Only `shipping` (rates by weight) and `tax_duty` (a threshold per shipment) are more than such sums.
"""
