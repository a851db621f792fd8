package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// load is what some piles say over a time, with what must come of it.
type load struct {
	charges  []*charge
	messages []portReport // a message of all ports of a pile; topic and payload
	readings int
}

// The rhythm of a port in a load, in minutes: it charges, and then it is idle.
const (
	chargesFor = 50
	rhythm     = 60
)

// estateLoad lets each port of some piles charge for 50 minutes of each hour, a
// report a minute. hot says which messages carry the temperature of port 1.
func estateLoad(day time.Time, piles, ports, minutes int, hot func(message int) bool) load {
	l := load{}
	open := map[int]*charge{}
	register := make([]int64, piles*ports) // mWh
	for m := range minutes {
		for p := range piles {
			pile, at := fmt.Sprintf("P%02d", p+1), day.Add(time.Duration(m)*time.Minute+time.Duration(p)*time.Second)
			b := append(make([]byte, 0, 80*ports), fmt.Sprintf(`{"ts":%q,"ports":[`, at.Format(time.RFC3339))...)
			for port := range ports {
				if port > 0 {
					b = append(b, ',')
				}
				n := p*ports + port
				state, w := "idle", int64(0)
				if k := m % rhythm; k < chargesFor && m != minutes-1 {
					state, w = "charging", int64(120+n)
					if k == 0 {
						open[n] = &charge{pile: pile, port: port + 1, start: at}
						open[n].ID = fmt.Sprint(pile, "-", port+1, " at minute ", m)
					} else {
						register[n] += 2000 + int64(n)
					}
				} else if open[n] != nil {
					register[n] += 2000 + int64(n)
				}
				if c := open[n]; c != nil {
					c.Points = append(c.Points, [2]float64{at.Sub(c.start).Seconds(), float64(w)})
					c.EnergyWh = append(c.EnergyWh, float64(register[n])/1000)
					if state == "idle" {
						c.end = at
						l.charges, open[n] = append(l.charges, c), nil
					}
				}
				b = appendPort(b, port+1, state, w, register[n])
				if port == 0 && hot != nil && hot(len(l.messages)) {
					b = append(b, `,"temp_c":61.5`...)
				}
				b = append(b, '}')
			}
			l.messages = append(l.messages, portReport{at, "pilewatch/v1/fuxing/" + pile + "/telemetry", string(append(b, "]}"...))})
			l.readings += ports
		}
	}
	return l
}

// appendPort writes a port's entry without its closing brace.
func appendPort(b []byte, port int, state string, w, registerMWh int64) []byte {
	b = strconv.AppendInt(append(b, `{"port":`...), int64(port), 10)
	b = append(append(append(b, `,"state":"`...), state...), `","w":`...)
	b = strconv.AppendInt(b, w, 10)
	b = strconv.AppendFloat(append(b, `,"wh":`...), float64(registerMWh)/1000, 'f', 3, 64)
	return b
}

func TestALoadIsWhatItSays(t *testing.T) {
	l := estateLoad(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 2, 3, 150, func(m int) bool { return m == 7 })
	if len(l.messages) != 300 || l.readings != 900 || len(l.charges) != 2*3*3 {
		t.Fatalf("%d messages, %d readings, %d charges", len(l.messages), l.readings, len(l.charges))
	}
	if c := l.charges[0]; c.energyMWh() != chargesFor*2000 || c.end.Sub(c.start) != chargesFor*time.Minute {
		t.Errorf("the first charge has %d mWh in %v", c.energyMWh(), c.end.Sub(c.start))
	}
	for i, m := range l.messages {
		if strings.Contains(m.payload, "temp_c") != (i == 7) {
			t.Errorf("message %d: %s", i, m.payload)
		}
	}
}
