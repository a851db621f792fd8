// Package sim is a simulated estate of charging piles: charger and appliance
// electricity, residents with habits, unsafe uses among the rest, and the MQTT
// messages that the piles would publish about all of it.
//
// It promises:
//   - It is pure: no I/O, no goroutines, no clock on the wall. Time comes from
//     [Config] and moves with [Estate.Next].
//   - The same configuration gives the same messages, byte for byte, on the same
//     processor architecture.
//   - Registers are exact. Power is a function with a closed integral (see
//     [Curve]), so a register does not depend on how often it is read, and the
//     energy of a session is the difference of two registers to the mWh.
//   - The truth is known: [Config.OnTruth] hears every session as it was, and what
//     was unsafe about it, whatever faults the messages carry.
//   - Memory does not grow with the span that is simulated.
//
// What residents do never depends on the reporting interval or on faults: two
// estates that differ only in these have the same sessions.
package sim
