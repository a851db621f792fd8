// Package web serves what people and other programs see of the gateway: the
// built-in page, the JSON API, live events, and the probes /healthz and /readyz.
//
// It only reads: the ledger for what happened, the fold's live state for what is.
// No answer carries a card number, only its last four characters. Where there
// are users, everything but the probes asks for a login; where there are none,
// only connections to a loopback address are served. Whoever reads slowly, or
// asks for too much, is dropped: the gateway itself never waits for a client.
package web
