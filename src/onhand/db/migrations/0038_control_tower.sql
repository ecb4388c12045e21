-- What the control tower asks, and promises that a person changes.

-- A person promises anew without a playbook's run, also where nothing had been promised (was: NULL).
ALTER TABLE new_promise ALTER COLUMN run_id DROP NOT NULL, ALTER COLUMN was DROP NOT NULL;
ALTER TABLE customer_message ALTER COLUMN run_id DROP NOT NULL, ALTER COLUMN step_no DROP NOT NULL;
