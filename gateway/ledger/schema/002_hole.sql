-- Blocks of the journal that were damaged and set aside, see gateway/ledger/repair.go. The
-- numbers seq to seq + count - 1 are missing from the journal.
CREATE TABLE hole (
	seq        INTEGER PRIMARY KEY,
	count      INTEGER NOT NULL, -- 0: what came before seq cannot be derived any more
	first_time INTEGER NOT NULL, -- of what it held, as far as that is known
	last_time  INTEGER NOT NULL,
	reason     TEXT NOT NULL,
	sum        INTEGER NOT NULL, -- the row's own, with the block as it was found
	block      BLOB NOT NULL
);
