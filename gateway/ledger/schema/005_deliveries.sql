-- What each channel of alerts is to be told and what it was told: a row for each
-- step of a flag, and one for each digest. Several rows may go with one message;
-- a row that has its message keeps it, so that a repeat is the same message.
CREATE TABLE delivery (
	channel  TEXT NOT NULL,
	flag_id  TEXT NOT NULL,    -- '' for a digest
	step     TEXT NOT NULL,    -- raised/warning, cleared, repeated/1, digest/daily/2026-11-26
	at       INTEGER NOT NULL, -- when it came about, by the gateway's clock
	state    TEXT NOT NULL,    -- waiting, sent, refused (by the channel, for good) or dropped (nobody needs it any more)
	message  TEXT NOT NULL,    -- delivery id; '' while no message has it
	attempts INTEGER NOT NULL,
	tried_at INTEGER NOT NULL, -- last attempt; 0 for none
	done_at  INTEGER NOT NULL, -- when it ceased to wait; 0 while it waits
	error    TEXT NOT NULL,    -- of the last attempt; '' where there was none
	PRIMARY KEY (channel, flag_id, step)
) WITHOUT ROWID;
CREATE INDEX delivery_done ON delivery (channel, done_at);
CREATE INDEX delivery_flag ON delivery (flag_id);
