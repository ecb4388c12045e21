"""What carriers tell of shipments, one row for each scan, and where that leaves them.

Owns `tracking_event`, `delivery_forecast`, `carrier_message` and the columns of `shipment` that follow from them. Scans
come in any order and any number of times; those of numbers that no shipment has yet are kept and matched later.
Start reading at model.py; what delivers a shipment that was scanned as delivered is flows/tracking/settle.py.
"""
