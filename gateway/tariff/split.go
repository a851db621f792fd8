package tariff

import (
	"math/bits"
	"time"

	"pilewatch/devices"
)

const dayMillis = 24 * 60 * 60 * 1000

// Split divides the energy of the step between from and to over the bands it
// spans, and adds it to into, which has an element for each of t.Bands.
//
// The step is cut where the band changes on the estate's clock. Each segment
// takes its share by time in whole mWh, rounded down, and the last one what is
// left, so that the parts sum to the whole. A band that comes up twice in a
// long step takes the sum of its segments. A step without duration goes to the
// band at to. It allocates nothing.
func (t *Tariff) Split(loc *time.Location, from, to devices.Millis, energyMWh int64, into []int64) {
	if len(t.Bands) == 1 {
		into[0] += energyMWh
		return
	}
	if to < from {
		from = to
	}
	band, until := t.Segment(loc, from)
	left := energyMWh
	for at := from; until < to; {
		next, end := t.Segment(loc, until)
		if next != band { // the clock may be changed within a band: that is no cut
			part := share(energyMWh, int64(until-at), int64(to-from))
			into[band] += part
			left -= part
			band, at = next, until
		}
		until = end
	}
	into[band] += left
}

// Segment gives the band at an instant, and when it ends or the clock is changed.
func (t *Tariff) Segment(loc *time.Location, at devices.Millis) (band int, until devices.Millis) {
	local := time.UnixMilli(int64(at)).In(loc)
	_, offset := local.Zone()
	ofDay := (int64(at) + int64(offset)*1000) % dayMillis
	if ofDay < 0 {
		ofDay += dayMillis
	}
	band, rest := t.bandAt(ofDay)
	until = at + devices.Millis(rest)
	if _, change := local.ZoneBounds(); !change.IsZero() {
		until = min(until, devices.MillisOf(change))
	}
	return band, until
}

// bandAt gives the band at a millisecond of the local day, and how long it
// still lasts on an undisturbed clock.
func (t *Tariff) bandAt(ofDay int64) (band int, rest int64) {
	for i, b := range t.Bands {
		into := ofDay - int64(b.From)*60_000
		if into < 0 {
			into += dayMillis
		}
		if length := int64(b.minutes()) * 60_000; into < length {
			return i, length - into
		}
	}
	return len(t.Bands) - 1, dayMillis // no valid tariff leaves a time without a band
}

// share is energy x part / whole, rounded towards zero, for 0 <= part <= whole.
func share(energy, part, whole int64) int64 {
	magnitude := uint64(energy)
	if energy < 0 {
		magnitude = -magnitude
	}
	hi, lo := bits.Mul64(magnitude, uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	if energy < 0 {
		return -int64(q)
	}
	return int64(q)
}
