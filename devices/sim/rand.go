package sim

import "math/rand/v2"

// entity keeps the random streams of different things apart.
type entity uint64

const (
	entityBike entity = iota + 1
	entityCharger
	entityPile
	entityIncident
	entityStaged
	entityFault
	entityWeather
	entitySteady
)

// newPCG gives the stream of one thing; neighbours are unrelated.
func newPCG(seed uint64, kind entity, index int) *rand.PCG {
	a := mix64(seed ^ mix64(uint64(kind)))
	return rand.NewPCG(a, mix64(a^uint64(index)))
}

func newRand(seed uint64, kind entity, index int) *rand.Rand {
	return rand.New(newPCG(seed, kind, index))
}

func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

// spell gives a time of lo to hi minutes.
func spell(r *rand.Rand, lo, hi float64) millis { return millis(between(r, lo, hi) * minute) }

// mix64 is the finaliser of SplitMix64: every bit of x moves every bit of the result.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// mix32 is a bijection, so different numbers give different cards.
func mix32(x uint32) uint32 {
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	return x ^ x>>16
}

// unit turns the low 16 bits of x into -0.5 to 0.5.
func unit(x uint64) float64 { return float64(x&0xffff)/0xffff - 0.5 }
