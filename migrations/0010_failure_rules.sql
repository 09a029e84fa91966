-- The operator's rules for failure classes.

-- Which rule gave the class, as its attribute, operator and value; NULL when none did. Its advice is shown instead of
-- the class's.
ALTER TABLE links ADD COLUMN failure_rule text;
