-- Ids are dense small integers: they index the arrays that promising works on.

CREATE TABLE item (
    item_id         int PRIMARY KEY,
    sku             text COLLATE "C" NOT NULL UNIQUE,
    name            text NOT NULL,
    weight_g        int NOT NULL DEFAULT 0 CHECK (weight_g >= 0),
    length_mm       int NOT NULL DEFAULT 0 CHECK (length_mm >= 0),
    width_mm        int NOT NULL DEFAULT 0 CHECK (width_mm >= 0),
    height_mm       int NOT NULL DEFAULT 0 CHECK (height_mm >= 0),
    unit_cost_minor bigint,
    price_minor     bigint,
    currency        text,
    category        text,
    hs_code         text,
    release_at      timestamptz,       -- before this moment orders wait in the preorder queue
    attributes      jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

-- A bundle is an item with rows here; it holds no stock of its own.
CREATE TABLE bundle_component (
    bundle_id int NOT NULL REFERENCES item (item_id),
    item_id   int NOT NULL REFERENCES item (item_id),
    quantity  int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (bundle_id, item_id),
    CHECK (bundle_id <> item_id)
);
