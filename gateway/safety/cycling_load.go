package safety

import "fmt"

// cyclingLoad sees a load that comes and goes beside or in place of a charger:
// three times on for about as long, off for about as long, at about the same
// power (a thermostat); or peaks in half an hour of a level that is else steady.
//
// Why: fridges run 10-25 min and rest 15-40 min, thermostats likewise (domain.md,
// Other loads); the noise of a charger is 2 %, and what disturbs it, dips and
// interruptions, goes down. On the 374 normal labelled traces none of the two
// was seen.
//
// How it can be wrong: a charge that somebody interrupts at an even beat; a pulse
// charger whose pulses are longer than the gaps between them. An interval over
// 60 s leaves too few reports for the peaks.
type cyclingLoad struct{ t thresholds }

var cyclingLoadDefaults = map[string]float64{"peak_percent": 7, "peaks": 3, "start_percent": 12}

func newCyclingLoad(t thresholds) detector { return &cyclingLoad{t} }

func (r *cyclingLoad) limit(x *limits) {
	x.peak, x.peaks = int64(r.t["peak_percent"]*10), int64(r.t["peaks"])
	x.start = 1000 + int64(r.t["start_percent"]*10)
}

func (r *cyclingLoad) see(p *port, stands level) level {
	return p.Charge.found(stands, beating, peaks, settled)
}

func (r *cyclingLoad) tell(p *port, _ level) story {
	k := p.Charge.newest(beating, peaks, settled)
	f := p.Charge.Model.Found[k]
	s := story{suspicion: "appliance"}
	if k == beating {
		s.zh = fmt.Sprintf("约 %s W 的负载按差不多的节奏通断了 %d 次，每次约 %d 分钟，像冰箱或带温控的电器", whole(int64(f.After)), f.Times, f.Before)
		s.en = fmt.Sprintf("a load of about %s W went on and off %d times at an even beat, for about %d minutes each, like a fridge or something with a thermostat", whole(int64(f.After)), f.Times, f.Before)
		s.numbers = numbers{"on_w": watts(int64(f.After)), "times": f.Times, "on_min": f.Before, "way": "beat", "thresholds": r.t}
	} else {
		s.zh = fmt.Sprintf("稳定在 %s W 左右的功率半小时内有 %d 次明显冒高，最高 %s W，像旁边还接着别的电器", whole(int64(f.Before)), f.Times, whole(int64(f.After)))
		s.en = fmt.Sprintf("a steady power of about %s W was exceeded %d times within half an hour, up to %s W, as if something else hung beside it", whole(int64(f.Before)), f.Times, whole(int64(f.After)))
		s.numbers = numbers{"level_w": watts(int64(f.Before)), "times": f.Times, "peak_w": watts(int64(f.After)), "way": "peaks", "thresholds": r.t}
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.curve = p.Recent.stretch(40 * minute)
	return s
}
