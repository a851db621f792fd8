-- What people said of flags, in the order in which they said it.
CREATE TABLE verdict (
	id           INTEGER PRIMARY KEY,
	at           INTEGER NOT NULL,
	flag_id      TEXT NOT NULL,
	status       TEXT NOT NULL,
	note         TEXT NOT NULL,
	by           TEXT NOT NULL,
	rule         TEXT NOT NULL,
	rule_version INTEGER NOT NULL,
	session_id   TEXT NOT NULL,
	card         TEXT NOT NULL,
	raised_at    INTEGER NOT NULL,
	evidence     TEXT NOT NULL -- JSON, with the curve that the flag was raised for
);
CREATE INDEX verdict_flag ON verdict (flag_id, id);
