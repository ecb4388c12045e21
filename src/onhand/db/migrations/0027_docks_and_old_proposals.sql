-- How many units transfers may take out of a node and bring to it, of what is sent on one day; and
-- what it takes to find the proposals of long ago.

ALTER TABLE node ADD COLUMN dock_units_out int CHECK (dock_units_out >= 0);   -- NULL: no limit
ALTER TABLE node ADD COLUMN dock_units_in int CHECK (dock_units_in >= 0);

-- What was moved on a day, whatever the lane.
CREATE INDEX proposal_moved_on ON proposal (decided_at) WHERE kind = 'transfer' AND status = 'approved';

-- Old ones are forgotten, and then the jobs that nothing is left of.
CREATE INDEX proposal_created ON proposal (created_at);
CREATE INDEX proposal_of_job ON proposal (job_id) WHERE job_id IS NOT NULL;
