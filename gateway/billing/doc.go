// Package billing turns the ledger's sessions into what an accountant, a notice
// board and a resident read.
//
// A [Book] gives the lines of a month: of a closed one as it was frozen, of the
// others as the sessions are now. What arrives after its month was closed, and
// what was corrected, is a line of the next period (补记) that names its session.
// Every export is made from lines alone, so that a closed period gives the same
// bytes for ever. Money is whole fen, energy whole mWh, prices millionths of a
// yuan; there is no floating point.
package billing
