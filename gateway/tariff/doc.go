// Package tariff prices energy: what an estate charges for a kilowatt-hour by
// the time of day, and for the service by energy or by power and time.
//
// It is pure and exact. Prices are millionths of a yuan ([Micro]), energy is
// whole milliwatt-hours, money is whole fen. Products are 128 bits wide, so
// that no sum overflows, and each fee is rounded once, half up. A tariff is
// stored with the sessions it prices, as JSON that is the same for the same
// tariff.
package tariff
