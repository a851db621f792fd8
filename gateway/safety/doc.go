// Package safety turns the journal into flags: suspicions of misuse, with their
// evidence, early, and without crying wolf.
//
// The [Engine] is pure. It is fed every entry of the journal in order and what
// it is told of the clock, does no input or output, and gives the same flags for
// the same input, whether it lives through a month, catches up or goes on from a
// checkpoint. It remembers a constant amount a port. The [Consumer] feeds it
// from the ledger, and commits the flags together with its cursor.
//
// A rule is one file and one row of [All]. It says what it sees, why, from which
// source, and how it can be wrong. A power curve proves nothing about people: a
// flag says where, when and what was measured, and asks for a visit that helps.
// It names no card, no person and no room.
//
// # One charge
//
// Rules about power curves ask a [model] of one charge what one charger does not
// explain; their thresholds are its limits. REPORT.md says how good that is, per
// class, with the command that makes it. [Judge] runs a recorded trace through the
// fold of sessions and the rules, as live readings go.
//
// # Verdicts
//
// What people say of a flag is kept by the ledger. [Consumer.Judged] holds back
// what they called a card's habit.
//
// # Time
//
// Rules about power work in the time of the readings: means and medians are
// weighted by time, so that 30 s and 300 s reporting give the same answer, and a
// missing report is a longer step. What happened between two reports nobody
// knows: [Rule.Coarsest] says up to which interval a rule sees all that it
// promises, and [Engine.TooCoarse] which piles report more seldom than that.
package safety
