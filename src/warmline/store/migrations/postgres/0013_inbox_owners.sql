-- compatible from 1

-- Which node processes a webhook (-1: written by an older version, which reckons nothing), and its place in its line.
ALTER TABLE inbox ADD COLUMN partition integer NOT NULL DEFAULT -1;
ALTER TABLE inbox ADD COLUMN rank integer NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN hold boolean NOT NULL DEFAULT true;
ALTER TABLE inbox ADD COLUMN terminal boolean NOT NULL DEFAULT false;

CREATE INDEX timers_due ON timers (due);
