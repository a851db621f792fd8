-- Billing periods (账期). A closed one and its lines never change: the triggers
-- refuse it, and its checksum shows it.
CREATE TABLE period (
	month     TEXT PRIMARY KEY,  -- 2026-11, of the estate
	closed_at INTEGER NOT NULL,  -- Unix milliseconds
	lines     INTEGER NOT NULL,
	sum       TEXT NOT NULL,     -- SHA-256 over the sum of the period before, the body and every line
	body      TEXT NOT NULL      -- JSON: totals, and what an export needs beside the lines
) WITHOUT ROWID;

-- A line bills a session, or corrects what an earlier one billed. The columns
-- repeat what the body says, so that corrections are found without reading it.
CREATE TABLE period_line (
	month               TEXT NOT NULL REFERENCES period (month) DEFERRABLE INITIALLY DEFERRED, -- whose row is written last
	n                   INTEGER NOT NULL, -- from 1, in the order of the export
	session_id          TEXT NOT NULL,
	household           TEXT NOT NULL,
	energy_mwh          INTEGER NOT NULL, -- of this line; negative where it takes back
	electricity_fee_fen INTEGER NOT NULL,
	service_fee_fen     INTEGER NOT NULL,
	quality             TEXT NOT NULL,
	body                TEXT NOT NULL,    -- JSON
	PRIMARY KEY (month, n)
) WITHOUT ROWID;
CREATE INDEX period_line_session ON period_line (session_id);

CREATE TRIGGER period_stays BEFORE UPDATE ON period BEGIN SELECT raise(ABORT, 'a closed period never changes'); END;
CREATE TRIGGER period_kept BEFORE DELETE ON period BEGIN SELECT raise(ABORT, 'a closed period never changes'); END;
CREATE TRIGGER period_line_stays BEFORE UPDATE ON period_line BEGIN SELECT raise(ABORT, 'a closed period never changes'); END;
CREATE TRIGGER period_line_kept BEFORE DELETE ON period_line BEGIN SELECT raise(ABORT, 'a closed period never changes'); END;
CREATE TRIGGER period_line_whole BEFORE INSERT ON period_line WHEN EXISTS (SELECT 1 FROM period WHERE month = NEW.month)
BEGIN SELECT raise(ABORT, 'a closed period never changes'); END;
