-- What is foreseen: prices of stock and risks of rejection, as sourcing/outlook.py packs them. Derived: whatever is here
-- may be lost at any moment, and is made again from orders and stock. The last row counts.
CREATE TABLE outlook (
    outlook_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at    timestamptz NOT NULL,     -- by the clock of the process that made it
    content    bytea NOT NULL
);
-- Compressed already.
ALTER TABLE outlook ALTER content SET STORAGE EXTERNAL;

-- What walk-in customers take. Partial, so that it costs nothing to the entries of orders.
CREATE INDEX ledger_entry_sale ON ledger_entry (occurred_at) INCLUDE (item_id, node_id, quantity)
    WHERE kind = 'adjustment' AND reason = 'sale' AND d_on_hand < 0;
