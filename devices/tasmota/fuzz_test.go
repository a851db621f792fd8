package tasmota

import (
	"testing"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

func FuzzDecode(f *testing.F) {
	devicetest.Fuzz(f, devicetest.Suite{New: New}, devices.Options{Location: devicetest.Location()})
}
