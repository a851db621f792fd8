package metrics

import "github.com/prometheus/client_golang/prometheus"

// descs are the names that a Fleet gives, with their labels and helps.
type descs struct {
	portPower, portEnergy, portTemp, portState                 *prometheus.Desc
	buildingPower, buildingEnergy, buildingTemp, buildingPorts *prometheus.Desc
	pileUp, pileTemp, pileSeen, unregistered                   *prometheus.Desc
	sessionsOpen, flagsOpen, flagsRaised                       *prometheus.Desc
	backlog, oldest, writes                                    *prometheus.Desc
	size, writable, mqtt, build                                *prometheus.Desc
}

func newDescs() descs {
	const estate, building, pile, port = "estate", "building", "pile", "port"
	return descs{
		portPower:  desc("port_power_watts", "Active power of the port at its last reading, in watts.", estate, building, pile, port),
		portEnergy: desc("port_energy_joules_total", "Energy that the port has delivered, in or out of a session, in joules; it goes on where a pile's own register falls back.", estate, building, pile, port),
		portTemp:   desc("port_temperature_celsius", "Temperature of the port, in degrees Celsius.", estate, building, pile, port),
		portState:  desc("port_state", "State of the port as the pile last said: 1 for the present one, 0 for the others; unknown where it says none.", estate, building, pile, port, "state"),

		buildingPower:  desc("building_power_watts", "Sum of the active power of the building's ports, in watts. Given in place of the per-port series where there are too many ports.", estate, building),
		buildingEnergy: desc("building_energy_joules_total", "Sum of the energy that the building's ports have delivered, in joules. Given in place of the per-port series.", estate, building),
		buildingTemp:   desc("building_port_temperature_max_celsius", "Temperature of the building's hottest port, in degrees Celsius. Given in place of the per-port series.", estate, building),
		buildingPorts:  desc("building_ports", "Number of the building's ports in each state. Given in place of the per-port series.", estate, building, "state"),

		pileUp:       desc("pile_up", "1 while the pile is heard: its last word is not offline, and it was heard within the last 10 minutes (or what is configured).", estate, building, pile),
		pileTemp:     desc("pile_temperature_celsius", "Temperature in the pile, in degrees Celsius.", estate, building, pile),
		pileSeen:     desc("pile_last_seen_timestamp_seconds", "Receipt of the pile's last message, in seconds since 1970.", estate, building, pile),
		unregistered: desc("piles_unregistered", "Number of piles that are heard and not in the registry."),

		sessionsOpen: desc("sessions_open", "Number of charging sessions that have not ended."),
		flagsOpen:    desc("flags_open", "Number of flags that are raised and not cleared.", "rule", "severity"),
		flagsRaised:  desc("flags_raised_total", "Flags that were raised, or raised in severity.", "rule", "severity"),

		backlog: desc("sink_backlog_readings", "Entries of the journal, readings for the most part, that are not delivered to the sink yet.", "sink"),
		oldest:  desc("sink_oldest_unsent_seconds", "Seconds since the receipt of the oldest entry that waits for the sink; 0 when none does.", "sink"),
		writes:  desc("sink_writes_total", "Deliveries to the sink that succeeded (ok) or failed and are repeated (error); and lines that it refused for good (rejected).", "sink", "result"),

		size:     desc("ledger_size_bytes", "Size of the ledger on disk, in bytes."),
		writable: desc("ledger_writable", "1 while commits to the ledger succeed; at 0 nothing is acknowledged to the broker."),
		mqtt:     desc("mqtt_connected", "1 while messages can come from the broker."),
		build:    desc("build_info", "1, with the version of the program in the labels.", "version", "commit", "goversion"),
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

func (d *descs) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.portPower, d.portEnergy, d.portTemp, d.portState,
		d.buildingPower, d.buildingEnergy, d.buildingTemp, d.buildingPorts,
		d.pileUp, d.pileTemp, d.pileSeen, d.unregistered,
		d.sessionsOpen, d.flagsOpen, d.flagsRaised, d.backlog, d.oldest, d.writes,
		d.size, d.writable, d.mqtt, d.build,
	}
}
