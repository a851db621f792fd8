package shelly

import (
	"testing"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

func FuzzDecode(f *testing.F) {
	devicetest.Fuzz(f, suite, devices.Options{})
}
