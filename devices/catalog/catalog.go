// Package catalog is the one table of decoders. To add one, write its folder
// next to native's, with the same files, and give it a row here: its name is then
// valid in the configuration, and the conformance suite holds it to the contract.
package catalog

import (
	"fmt"
	"strings"

	"pilewatch/devices"
	"pilewatch/devices/mapping"
	"pilewatch/devices/native"
	"pilewatch/devices/shelly"
	"pilewatch/devices/tasmota"
)

type row struct {
	name  string // as the configuration writes it; it labels metrics, too
	build func(devices.Options) (devices.Decoder, error)
}

func table() []row {
	return []row{
		{"native", native.New},
		{"tasmota", tasmota.New},
		{"shelly", shelly.New},
		{"mapping", mapping.New},
	}
}

// New builds the decoder of a name. It fails for a name that is none, which the
// error tells with those that are, and for options that the decoder refuses.
func New(name string, o devices.Options) (devices.Decoder, error) {
	for _, r := range table() {
		if r.name == name {
			return r.build(o)
		}
	}
	return nil, fmt.Errorf("unknown decoder %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// Names lists the decoders in the order of the table.
func Names() []string {
	var names []string
	for _, r := range table() {
		names = append(names, r.name)
	}
	return names
}
