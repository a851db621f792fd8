-- Times are Unix milliseconds, energies whole mWh, money whole fen.

-- The journal: a row holds the entries of one commit, seq numbers its first.
CREATE TABLE journal (
	seq        INTEGER PRIMARY KEY,
	count      INTEGER NOT NULL,
	received   INTEGER NOT NULL, -- of the last entry
	first_time INTEGER NOT NULL, -- device time of samples, events and statuses
	last_time  INTEGER NOT NULL,
	sum        INTEGER NOT NULL, -- CRC-32C of the other columns and the block
	block      BLOB NOT NULL
);

-- Which blocks hold something of an hour (Unix hours): finds a repetition.
CREATE TABLE journal_hour (
	hour INTEGER NOT NULL,
	seq  INTEGER NOT NULL REFERENCES journal (seq) ON DELETE CASCADE,
	PRIMARY KEY (hour, seq)
) WITHOUT ROWID;

CREATE TABLE session (
	id                  TEXT PRIMARY KEY,
	pile                TEXT NOT NULL,
	port                INTEGER NOT NULL,
	open                INTEGER NOT NULL,
	building            TEXT NOT NULL,
	household           TEXT NOT NULL,
	card                TEXT NOT NULL,
	order_no            TEXT NOT NULL,
	start               INTEGER NOT NULL,
	end                 INTEGER NOT NULL,
	energy_mwh          INTEGER NOT NULL,
	peak_mw             INTEGER NOT NULL,
	meter_start_mwh     INTEGER NOT NULL, -- -1: no register
	meter_end_mwh       INTEGER NOT NULL,
	tariff              TEXT NOT NULL,
	bands               TEXT NOT NULL,    -- JSON
	electricity_fee_fen INTEGER NOT NULL,
	service_fee_fen     INTEGER NOT NULL,
	stop_reason         TEXT NOT NULL,
	quality             TEXT NOT NULL,
	settled_mwh         INTEGER NOT NULL  -- -1: not settled
) WITHOUT ROWID;
CREATE INDEX session_start ON session (start, id);
CREATE INDEX session_end ON session (end, id);
CREATE INDEX session_order ON session (pile, order_no) WHERE order_no <> '';

CREATE TABLE flag (
	id         TEXT PRIMARY KEY,
	rule       TEXT NOT NULL,
	severity   TEXT NOT NULL,
	building   TEXT NOT NULL,
	pile       TEXT NOT NULL,
	household  TEXT NOT NULL,
	raised_at  INTEGER NOT NULL,
	cleared_at INTEGER NOT NULL, -- 0 while it stands
	status     TEXT NOT NULL,
	body       TEXT NOT NULL     -- JSON
) WITHOUT ROWID;
CREATE INDEX flag_raised ON flag (raised_at, id);
CREATE INDEX flag_open ON flag (cleared_at) WHERE cleared_at = 0;

-- What a consumer needs to go on: its state as it was before entry seq.
CREATE TABLE checkpoint (
	name TEXT PRIMARY KEY,
	seq  INTEGER NOT NULL,
	sum  INTEGER NOT NULL,
	body BLOB NOT NULL -- zstd
) WITHOUT ROWID;

-- The next entry that a consumer has not had.
CREATE TABLE cursor (
	name TEXT PRIMARY KEY,
	seq  INTEGER NOT NULL
) WITHOUT ROWID;

-- Messages, or entries of messages, that could not be read.
CREATE TABLE reject (
	id      INTEGER PRIMARY KEY,
	time    INTEGER NOT NULL, -- of receipt
	decoder TEXT NOT NULL,
	topic   TEXT NOT NULL,
	reason  TEXT NOT NULL,
	detail  TEXT NOT NULL,
	payload BLOB NOT NULL
);
CREATE INDEX reject_time ON reject (time);

-- Lines that a sink refused for good.
CREATE TABLE sink_reject (
	id     INTEGER PRIMARY KEY,
	sink   TEXT NOT NULL,
	line   TEXT NOT NULL,
	reason TEXT NOT NULL
);
