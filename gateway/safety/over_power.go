package safety

import (
	"fmt"

	"pilewatch/devices"
)

// overPower sees a port that delivers more than the largest charger draws: the
// mean of 5 minutes over 600 W (warning) or over 1,000 W (critical).
//
// Why: the largest charger of the table draws 430-500 W; a socket of a pile and
// its wiring are made for about 1,000 W (domain.md, Overuse rules and Charger
// and battery electricity).
//
// How it can be wrong: the table contradicts the measured packs, of which every
// tenth lithium one charges with 600-900 W. So between warn_w and charger_w a
// curve that is still what one charger draws (started once, nothing added to it,
// never over charger_w) is told as info, and becomes a warning as soon as
// something is added, or goes on and off. charger_w = warn_w switches that
// allowance off. A heater of 600-900 W that only runs once looks like such a
// charger to this rule.
//
// One sample is no evidence: at least two must be over the threshold, so that a
// kettle between two reports at 300 s, or a spike, raises nothing here.
type overPower struct {
	t                     thresholds
	warn, charger, danger int64
	window                devices.Millis
}

var (
	overPowerDefaults = map[string]float64{"warn_w": 600, "charger_w": 1000, "critical_w": 1000, "window_min": 5}
	overPowerMax      = map[string]float64{"window_min": 20}
)

func newOverPower(t thresholds) detector {
	return &overPower{t: t, warn: t.mW("warn_w"), charger: t.mW("charger_w"), danger: t.mW("critical_w"), window: t.minutes("window_min")}
}

func (r *overPower) see(p *port, stands level) level {
	if stands == none && p.Recent.top() <= r.warn*9/10 {
		return none // whatever the mean is
	}
	mean, ok := p.Recent.mean(r.window)
	if !ok {
		return unsure
	}
	evidence := max(r.window, 5*p.Interval/2)
	switch {
	case mean > r.danger && p.Recent.above(evidence, r.danger) >= 2:
		return critical
	case mean > r.warn && p.Recent.above(evidence, r.warn) >= 2:
		if mean > r.charger || !p.oneCharger() || stands > info {
			return warning
		}
		if p.Recent.above(evidence, r.charger) > 0 {
			return unsure // the mean is still on its way to what is drawn now
		}
		return info
	case mean > r.warn*9/10:
		return unsure
	}
	return none
}

func (r *overPower) tell(p *port, l level) story {
	mean, _ := p.Recent.mean(r.window)
	limit, s := r.warn, story{suspicion: "power_strip"}
	if p.oneCharger() {
		s.suspicion = "oversize_charger"
	}
	if l == critical {
		limit = r.danger
	}
	s.zh = fmt.Sprintf("%d 分钟平均功率 %s W，超过 %s W", int(r.t["window_min"]), whole(mean), whole(limit))
	s.en = fmt.Sprintf("mean power over %d minutes %s W, over %s W", int(r.t["window_min"]), whole(mean), whole(limit))
	if l == info {
		s.zh += "；曲线像一台大功率充电器"
		s.en += "; the curve is that of one large charger"
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	if l == info {
		s.adviceZH, s.adviceEN = "不必专门上门；下次遇到时可看看充电器铭牌上的功率和插头温度。", "No visit for this; when you meet, read the rated power on the charger and feel the plug."
	}
	s.numbers = numbers{"mean_w": watts(mean), "thresholds": r.t}
	s.curve = p.Recent.stretch(15 * 60_000)
	return s
}
