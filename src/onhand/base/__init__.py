"""Ground floor: ids, clock, money, distance, batching. No I/O and no domain; everything may import it."""
