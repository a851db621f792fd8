package safety

import "fmt"

// cyclingLoad sees a fridge, a thermostat or the like, beside or in place of a
// charger:
//   - three times on for about as long, off for about as long, at about the same
//     power; off is under a quarter of it, so that what stands by does not hide it;
//   - peaks in half an hour of a level that is else steady, over peak_percent and
//     over its noise;
//   - a compressor's start: start_percent over the level to which it comes down
//     within 4 minutes, and on which it then stands, or until it is off.
//
// Why: fridges run 10-25 min and rest 15-40 min, thermostats likewise (domain.md,
// Other loads); the noise of a charger is 2 %, and what disturbs it, dips and
// interruptions, goes down. A charger begins on its level or under it; what
// begins high is near the end of its taper, and goes on falling. On the 374
// normal labelled traces none of the three was seen.
//
// How it can be wrong: a charge that somebody interrupts at an even beat; a pulse
// charger whose pulses are longer than the gaps between them; a charger whose
// inrush lasts for minutes. An interval over 70 s leaves too few reports for the
// peaks and for the start of a compressor.
type cyclingLoad struct{ t thresholds }

var cyclingLoadDefaults = map[string]float64{"peak_percent": 6, "peaks": 3, "start_percent": 12}

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
	f := p.Charge.Model.found(k)
	s := story{suspicion: "appliance"}
	switch k {
	case beating:
		s.zh = fmt.Sprintf("约 %s W 的负载按差不多的节奏通断了 %d 次，每次约 %d 分钟，像冰箱或带温控的电器", whole(int64(f.After)), f.Times, f.Before)
		s.en = fmt.Sprintf("a load of about %s W went on and off %d times at an even beat, for about %d minutes each, like a fridge or something with a thermostat", whole(int64(f.After)), f.Times, f.Before)
		s.numbers = numbers{"on_w": watts(int64(f.After)), "times": f.Times, "on_min": f.Before, "way": "beat", "thresholds": r.t}
	case settled:
		s.zh = fmt.Sprintf("刚接上时约 %s W，几分钟内降到 %s W 并停在那里，像冰箱等带压缩机的电器", whole(int64(f.Before)), whole(int64(f.After)))
		s.en = fmt.Sprintf("it began with about %s W and came down to %s W within minutes, and stood there, like the compressor of a fridge", whole(int64(f.Before)), whole(int64(f.After)))
		s.numbers = numbers{"start_w": watts(int64(f.Before)), "level_w": watts(int64(f.After)), "way": "compressor", "thresholds": r.t}
	default:
		s.zh = fmt.Sprintf("稳定在 %s W 左右的功率半小时内有 %d 次明显冒高，最高 %s W，像旁边还接着别的电器", whole(int64(f.Before)), f.Times, whole(int64(f.After)))
		s.en = fmt.Sprintf("a steady power of about %s W was exceeded %d times within half an hour, up to %s W, as if something else hung beside it", whole(int64(f.Before)), f.Times, whole(int64(f.After)))
		s.numbers = numbers{"level_w": watts(int64(f.Before)), "times": f.Times, "peak_w": watts(int64(f.After)), "way": "peaks", "thresholds": r.t}
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.curve = p.Recent.stretch(40 * minute)
	return s
}
